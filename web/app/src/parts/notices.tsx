import type { ComponentChildren } from 'preact'
import type { Keep } from '../../../client'
import { KEEP, wordsFor } from '../words'
import { RecordIcon, RewindIcon, VanishIcon, WarnIcon } from './icons'

const KEEP_ICONS = { record: RecordIcon, rewind: RewindIcon, none: VanishIcon }

/** What becomes of what is said here, in a sentence. */
export function KeepNotice({ keep }: { keep: Keep }) {
  const { title, detail } = KEEP[keep]
  const Icon = KEEP_ICONS[keep]
  return (
    <div class={`keep keep-${keep}`} data-keep={keep}>
      <Icon />
      <p>
        <strong>{title}.</strong> {detail}
      </p>
    </div>
  )
}

export function KeepBadge({ keep }: { keep: Keep }) {
  const Icon = KEEP_ICONS[keep]
  return (
    <span class={`badge keep-${keep}`} data-keep={keep}>
      <Icon />
      {KEEP[keep].mark}
    </span>
  )
}

export function ErrorNotice({ error, children }: { error: unknown; children?: ComponentChildren }) {
  const { title, advice } = wordsFor(error)
  const code = (error as { code?: string }).code ?? 'unknown'
  return (
    <div class="notice notice-error" role="alert" data-error={code}>
      <WarnIcon />
      <div>
        <p class="notice-title">{title}</p>
        <p>{advice}</p>
        {children && <div class="actions">{children}</div>}
      </div>
    </div>
  )
}

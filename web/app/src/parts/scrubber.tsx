// The room's time: live at its right end, what is kept to the left of it.

import { useSignal } from '@preact/signals'
import type { Stay } from '../stay'
import type { Past } from '../past'
import { type Scale, clockTime, long, scaleFor, scalesFor, short } from '../moment'
import { BackIcon, ForwardIcon } from './icons'

const STEP_S = 5
const PAGE_S = 30

export function Scrubber({ stay }: { stay: Stay }) {
  const past = stay.past.value
  const keep = stay.info.value?.keep
  if (!past || !stay.standing.listen.value) return null
  const reach = past.reachS.value
  const kept = keep !== 'none' && reach !== undefined
  return (
    <section class="scrubber" aria-label="Rewind" data-playback={past.live.value ? 'live' : (past.playback.value?.state ?? 'past')}>
      <div class="scrub-head">
        <State past={past} />
        <Buttons past={past} kept={kept} />
      </div>
      <Line past={past} reach={kept ? reach : undefined} />
      <p class="hint scrub-hint">{kept ? <Hint stay={stay} past={past} /> : nothingKept(keep)}</p>
    </section>
  )
}

const nothingKept = (keep: string | undefined) =>
  keep === 'none' ? 'This room keeps nothing of what is said: there is nothing to rewind to.' : 'Nothing has been said yet that could be heard again.'

function State({ past }: { past: Past }) {
  const { state, rate = 1 } = past.playback.value ?? {}
  const behind = <span class="scrub-behind">{short(past.behindS.value)}</span>
  if (past.live.value) return <p class="scrub-state"><span class="dot" /> Live</p>
  if (past.wanted.value !== undefined) return <p class="scrub-state">{past.wanted.value < 1 ? 'To live' : <>To {behind} behind live</>}</p>
  if (state === 'waiting') return <p class="scrub-state">Waiting for the sound, {behind} behind live</p>
  if (rate > 1) return <p class="scrub-state">Catching up, {behind} behind live</p>
  return <p class="scrub-state">{behind} behind live</p>
}

function Buttons({ past, kept }: { past: Past; kept: boolean }) {
  const live = past.live.value
  const catching = (past.playback.value?.rate ?? 1) > 1
  // aria-disabled and not disabled: a button that was just pressed keeps the focus.
  return (
    <div class="scrub-buttons">
      <button type="button" class="small" aria-disabled={!kept} onClick={() => kept && past.by(-30)}>
        <BackIcon /> <span class="visually-hidden">Back </span>−30 s
      </button>
      <button type="button" class="small" aria-disabled={live} onClick={() => live || past.by(30)}>
        <span class="visually-hidden">Forward </span>+30 s <ForwardIcon />
      </button>
      <button type="button" class="small" aria-disabled={live || catching} onClick={() => live || catching || past.catchUp()}>
        Catch up
      </button>
      <button type="button" class={live ? 'small' : 'small primary'} aria-disabled={live} onClick={() => past.toLive()}>
        Live
      </button>
    </div>
  )
}

function Line({ past, reach }: { past: Past; reach: number | undefined }) {
  const picked = useSignal<Scale['name'] | undefined>(undefined)
  const now = past.now.value
  const behind = Math.min(past.behindS.value, reach ?? 0)
  const scale = scaleFor(reach ?? 0, behind, picked.value)
  const share = 1 - behind / scale.seconds
  const at = new Date(now.getTime() - behind * 1_000)
  const time = clockTime(at, now)
  const begins = new Date(now.getTime() - scale.seconds * 1_000)
  return (
    <div class="scrub-line" style={{ '--part': share }}>
      <input
        type="range"
        aria-label="Where you listen"
        min={-scale.seconds}
        max={0}
        step="any"
        value={-behind}
        disabled={reach === undefined}
        aria-valuetext={past.live.value ? `live, ${time}` : `${long(behind)} behind live, ${time}`}
        onInput={(event) => past.preview(-Number(event.currentTarget.value))}
        onChange={(event) => past.seek(-Number(event.currentTarget.value))}
        onKeyDown={(event) => {
          const to = keyed(event.key, past.behindS.value, reach ?? 0)
          if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return
          event.preventDefault()
          past.seek(to)
        }}
      />
      <span class="scrub-mark" aria-hidden="true" />
      <output class={time.length > 8 ? 'scrub-clock dated' : 'scrub-clock'} aria-hidden="true">
        {time}
      </output>
      <div class="scrub-ends">
        <span>{reach === undefined ? '' : clockTime(begins, now)}</span>
        <Scales scales={scalesFor(reach ?? 0)} scale={scale} pick={(name) => (picked.value = name)} />
        <span class="scrub-live">Live</span>
      </div>
    </div>
  )
}

/** Seconds before live after a key, as a slider's keys go; undefined for other keys. */
function keyed(key: string, behind: number, reach: number): number | undefined {
  switch (key) {
    case 'ArrowLeft':
    case 'ArrowDown':
      return behind + STEP_S
    case 'ArrowRight':
    case 'ArrowUp':
      return behind - STEP_S
    case 'PageDown':
      return behind + PAGE_S
    case 'PageUp':
      return behind - PAGE_S
    case 'Home':
      return reach
    case 'End':
      return 0
  }
}

function Scales({ scales, scale, pick }: { scales: Scale[]; scale: Scale; pick: (name: Scale['name']) => void }) {
  if (scales.length < 2) return null
  return (
    <div class="scrub-scales" role="group" aria-label="How far back the line reaches">
      {scales.map(({ name }) => (
        <button key={name} type="button" class="scale" aria-pressed={name === scale.name} onClick={() => pick(name)}>
          {name}
        </button>
      ))}
    </div>
  )
}

function Hint({ stay, past }: { stay: Stay; past: Past }) {
  const from = past.window.value?.from
  if (past.live.value) return <>What was said since {from && clockTime(from, past.now.value)} can be heard again.</>
  const speaking = stay.publication.value && !stay.muted.value
  return <>You hear the past; the list shows who is here now.{speaking && ' What you say is heard live.'}</>
}

// A level meter, drawn straight onto its element: fifty levels a second are no business of the framework's.

import { useEffect, useRef } from 'preact/hooks'
import type { AudioSource } from '../../../client'

const LOWEST_DB = -60

export function Meter({ source, muted = false }: { source: AudioSource; muted?: boolean }) {
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => {
    let shown = 0
    let held = 0
    return source.on('level', ({ rms, peak }) => {
      const element = ref.current
      if (!element) return
      shown = Math.max(share(rms), shown - 0.03)
      held = Math.max(share(peak), held - 0.01)
      element.style.setProperty('--level', shown.toFixed(3))
      element.style.setProperty('--peak', held.toFixed(3))
      element.classList.toggle('hot', peak > -1)
    })
  }, [source])
  return (
    <div class={`meter ${muted ? 'meter-muted' : ''}`} ref={ref} role="img" aria-label={muted ? 'Input level, muted' : 'Input level'}>
      <div class="meter-fill" />
      <div class="meter-peak" />
    </div>
  )
}

const share = (db: number) => Math.min(1, Math.max(0, 1 - db / LOWEST_DB))

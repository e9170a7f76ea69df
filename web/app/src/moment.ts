// How far back the scrubber reaches, and the words for places in time. Pure.

export interface Scale {
  name: '5 min' | '1 hour' | 'All'
  /** How much of the time before live the whole slider stands for. */
  seconds: number
}

const SHORTEST_S = 20

/** The scales there are for a window that begins so many seconds ago; the last one holds all of it. */
export function scalesFor(windowS: number): Scale[] {
  const fixed: Scale[] = [
    { name: '5 min', seconds: 300 },
    { name: '1 hour', seconds: 3_600 },
  ]
  return [...fixed.filter((scale) => scale.seconds < windowS), { name: 'All', seconds: Math.max(SHORTEST_S, Math.ceil(windowS)) }]
}

/** The picked one where it reaches the place, else the smallest that does. */
export function scaleFor(windowS: number, behindS: number, picked?: Scale['name']): Scale {
  const scales = scalesFor(windowS)
  const reaching = scales.filter((scale) => scale.seconds >= behindS)
  return reaching.find((scale) => scale.name === picked) ?? reaching[0] ?? scales.at(-1)!
}

/** As on a clock: 2:10, 1:02:10. */
export function short(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  const [hours, minutes, rest] = [Math.floor(s / 3_600), Math.floor(s / 60) % 60, s % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

/** As it is said: “1 hour 2 minutes 10 seconds”. */
export function long(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  const parts: [number, string][] = [
    [Math.floor(s / 3_600), 'hour'],
    [Math.floor(s / 60) % 60, 'minute'],
    [s % 60, 'second'],
  ]
  const said = parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}${n === 1 ? '' : 's'}`)
  return said.join(' ') || '0 seconds'
}

/** 12:03:10, with the day where that is not today's. */
export function clockTime(at: Date, now: Date): string {
  const time = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
  if (at.toDateString() === now.toDateString()) return time
  return `${at.toLocaleDateString(undefined, { month: 'short', day: 'numeric' })}, ${time}`
}

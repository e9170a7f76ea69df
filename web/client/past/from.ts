// From where to play, as a page says it and as the edge is asked.

import { AirloomError } from '../errors'
import type { Place } from '../net/link'

/** The oldest that is kept, so many seconds ago, or a moment by the edge's clock. */
export type From = 'start' | number | Date

/** Farther back than any log: the edge moves it to its window's end and says so. */
const LONGEST_S = 1e9
const EARLIEST_MS = 0
const LATEST_MS = Date.UTC(9_999, 11, 31)
export const MAX_RATE = 16

/** As docs/wire.md §4 has it. `now` is the edge's clock in ms. Throws bad_message for what is no time at all. */
export function fromField(from: From, now: number): string {
  if (from === 'start') return 'start'
  if (typeof from === 'number' && from >= 0 && from < Infinity) return `-${Math.min(from, LONGEST_S).toFixed(3)}s`
  const ms = typeof from === 'number' ? now - from * 1_000 : from instanceof Date ? from.getTime() : NaN
  if (!Number.isFinite(ms)) throw new AirloomError('bad_message', `rewind to ${String(from)}: give 'start', a number of seconds, or a valid Date`)
  return new Date(Math.min(LATEST_MS, Math.max(EARLIEST_MS, ms))).toISOString()
}

/** As an edge is asked to play from there. Throws bad_message. */
export const placeOf = (from: From, rate = 1, now: number): Place => ({ from: fromField(from, now), rate: checkRate(rate) })

/** Seconds of sound in a second; throws bad_message. */
export function checkRate(rate: number): number {
  if (rate >= 1 && rate <= MAX_RATE) return rate
  throw new AirloomError('bad_message', `rewind at rate ${rate}: it is between 1 and ${MAX_RATE}`)
}

// Where the sound of a room is, as a page sees it.

import type { PlaybackReport } from '../past/playback'
import type { Clamped } from '../wire/messages'

/** From when to when a room's sound can be heard again, by the edge's clock. */
export interface PlaybackWindow {
  from: Date
  to: Date
}

export interface RoomPlayback {
  /** `waiting`: the past, but nothing is heard at the moment; the log is behind, or the connection slow. Nothing is left out. */
  state: 'live' | 'past' | 'waiting'
  /** When the sound that is heard now was said; null when live. */
  at: Date | null
  /** How far that is behind live, in milliseconds; 0 when live. */
  behindMs: number
  /** As it was last told; null while nothing is kept. `room.window()` asks. */
  window: PlaybackWindow | null
  /** Seconds of sound heard in a second: more than 1 while it catches up with live. */
  rate: number
  /** What was asked for last is not kept, and this is the end of the window nearest to it. */
  clamped: Clamped | null
}

export interface RewindOptions {
  /** The oldest that is kept, so many seconds before live, or a moment. */
  from: 'start' | number | Date
  /** 1 (unless told) keeps the distance to live; more, up to 16, comes nearer and goes on live. */
  rate?: number
}

export const LIVE: RoomPlayback = { state: 'live', at: null, behindMs: 0, window: null, rate: 1, clamped: null }

export function playbackOf({ state, at, behindMs, window, rate, clamped }: PlaybackReport): RoomPlayback {
  return { state, behindMs, rate, clamped, at: at === null ? null : new Date(at), window: window && { from: new Date(window.from), to: new Date(window.to) } }
}

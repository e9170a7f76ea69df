// Where the sound of this session is: live, in the past, or on its way back to live. Fed with what the edge says, the packets
// and the time, it decides which packets are heard and when. The edge is ahead of what is heard by the two seconds it gives in
// advance; so when the edge is live again, the rest is played a little faster until the ear is there too ("landing").

import type { Clamped, PlaybackMessage } from '../wire/messages'
import type { Packet } from '../wire/packet'
import type { Clocks } from './clocks'
import { Pacer } from './pacer'

/** What a page is told. Times are ms since 1970 by the edge's clock. */
export interface PlaybackReport {
  /** What is heard. `waiting`: nothing at the moment, the log is behind or the connection slow; nothing is left out. */
  state: 'live' | 'past' | 'waiting'
  /** When the sound that is heard was said; null when live. */
  at: number | null
  behindMs: number
  window: { from: number; to: number } | null
  /** Seconds of sound heard in a second. */
  rate: number
  /** The moment that was asked for is not kept: this is the end of the window nearest to it. */
  clamped: Clamped | null
  /** What to add to Date.now() to get the edge's clock. */
  clockAheadMs: number
}

export interface PlaybackEvents {
  /** To be heard now. */
  release(packet: Packet): void
  /** Nothing of before is to be heard any more. */
  restart(): void
  paused(): void
  /** What is released from now on is the past and heard at this rate, or live. */
  past(past: boolean, rate: number): void
  report(report: PlaybackReport): void
}

/** So much faster the last bit before live is played. */
const LANDING_RATE = 1.25
/** Nearer to live than this is live. */
const LANDED_MS = 60
const REPORT_MS = 500
/** A buffer that fills again within this is no waiting that anybody should be told of. */
const PATIENCE_MS = 400
/** After a cut the edge is asked for a bit that was there already: which of it is known is seen by the numbers. */
const OVERLAP_MS = 1_000

export class Playback {
  #mode: 'live' | 'past' | 'landing' = 'live'
  #pacer: Pacer
  #reported: PlaybackReport = { state: 'live', at: null, behindMs: 0, window: null, rate: 1, clamped: null, clockAheadMs: 0 }
  #reportedAt = -Infinity
  #window: PlaybackReport['window'] = null
  #clamped: Clamped | null = null
  #dryAt: number | undefined
  /** As the edge sends; the ear may be faster when landing. */
  #rate = 1

  constructor(
    private readonly events: PlaybackEvents,
    /** The edge's clock, in ms since 1970. */
    private readonly edgeNow: () => number,
    clocks?: Clocks,
  ) {
    this.#pacer = new Pacer({ release: (packet) => events.release(packet), paused: () => events.paused() }, clocks)
  }

  /** Whether `tick` has to be called every few milliseconds. */
  get busy(): boolean {
    return this.#mode !== 'live'
  }

  /** Where to go on when another socket takes over; undefined when live. */
  get resume(): { from: string; rate: number } | undefined {
    if (this.#mode !== 'past') return undefined
    return { from: new Date(this.#pacer.front - OVERLAP_MS).toISOString(), rate: this.#rate }
  }

  /** Seconds of sound heard in a second. */
  get rate(): number {
    return this.#mode === 'live' ? 1 : this.#pacer.rate
  }

  get skippedMs(): number {
    return this.#pacer.skippedMs
  }

  /** The edge says where it is. `answered`: because it was asked to go there. */
  heard(message: PlaybackMessage, answered: boolean, now: number): void {
    if (message.window !== undefined) this.#window = windowOf(message.window)
    const at = message.at ? Date.parse(message.at) : NaN
    if (answered || message.clamped) this.#clamped = message.clamped ?? null // a hello's answer does not say what it answers
    if (message.state === 'live') {
      if (answered) this.#cut()
      else if (this.#mode === 'past') this.#land(now)
    } else if (answered || this.#mode !== 'past') this.#seek(Number.isNaN(at) ? this.edgeNow() : at, message.rate ?? 1)
    else if (!Number.isNaN(at)) this.#pacer.told(at)
    this.#report(now)
  }

  /** From when to when the room can be heard again, as the edge was asked. */
  windowIs(window: PlaybackReport['window'], now: number): void {
    this.#window = window
    this.#report(now)
  }

  /** There is a socket again, and it is live: the edge could not, or was not asked to, go on in the past. */
  refused(now: number): void {
    if (this.#mode === 'live') return
    this.#cut()
    this.#report(now)
  }

  /** A packet from the edge. */
  push(packet: Packet): void {
    if (this.#mode === 'live') this.events.release(packet)
    else if (this.#mode === 'landing' || packet.backlog) this.#pacer.push(packet)
  }

  /** `now`: milliseconds, any steady clock. */
  tick(now: number): void {
    if (this.#mode === 'live') return
    this.#pacer.tick(now)
    if (this.#mode === 'landing' && (this.#pacer.dry || this.#pacer.aheadMs <= LANDED_MS)) {
      this.#mode = 'live'
      this.#setRate(1, now)
      this.#pacer.flush()
    }
    if (!this.#pacer.dry) this.#dryAt = undefined
    else this.#dryAt ??= now
    if (now - this.#reportedAt >= REPORT_MS || this.#state(now) !== this.#reported.state) this.#report(now)
  }

  #state(now: number): PlaybackReport['state'] {
    if (this.#mode === 'live') return 'live'
    return this.#dryAt !== undefined && now - this.#dryAt >= PATIENCE_MS ? 'waiting' : 'past'
  }

  #seek(at: number, rate: number): void {
    this.#mode = 'past'
    this.#rate = rate
    this.#dryAt = undefined
    this.events.restart()
    this.events.past(true, rate)
    this.#pacer.start(at, rate)
  }

  /** Live at once. */
  #cut(): void {
    if (this.#mode !== 'live') this.events.restart()
    this.#mode = 'live'
    this.#pacer.start(0, 1)
    this.events.past(false, 1)
  }

  /** The edge is live; what it gave in advance is still to be heard. */
  #land(now: number): void {
    this.#mode = 'landing'
    this.#setRate(Math.max(LANDING_RATE, this.#rate), now)
  }

  #setRate(rate: number, now: number): void {
    this.#pacer.setRate(rate, now)
    this.events.past(this.busy, rate)
  }

  #report(now: number): void {
    const state = this.#state(now)
    const at = state === 'live' ? null : this.#pacer.at
    const edgeNow = this.edgeNow()
    const behindMs = at === null ? 0 : Math.max(0, edgeNow - at)
    const clockAheadMs = edgeNow - Date.now()
    this.#reportedAt = now
    this.#reported = { state, at, behindMs, window: this.#window, rate: this.rate, clamped: this.#clamped, clockAheadMs }
    this.events.report(this.#reported)
  }
}

/** The wire's window in ms since 1970. */
export function windowOf(window: { from: string | null; to: string | null } | null): PlaybackReport['window'] {
  const [from, to] = [Date.parse(window?.from ?? ''), Date.parse(window?.to ?? '')]
  return Number.isNaN(from) || Number.isNaN(to) ? null : { from, to }
}

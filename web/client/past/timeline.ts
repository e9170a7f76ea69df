// Where packets of the past stand in time, in milliseconds of the log's clock. Each track counts its own media time. Where its speaker
// said when a sample was captured, that places it beside other such tracks exactly; else, and where a clock cannot be right, it is
// placed by the order in which the log had the packets of all tracks.

import { type Packet, SILENCE_UNIT } from '../wire/packet'
import { SAMPLE_RATE, frameSamples } from '../wire/opus'
import { TimestampUnwrapper } from '../wire/seq'
import { Clocks } from './clocks'

interface Track {
  epoch: number
  unwrapper: TimestampUnwrapper
  /** Milliseconds of log time minus milliseconds of media time. */
  offset: number
}

/** A new track's first pack was logged at some moment since the one before it: this much later, or half as long as it is. */
const PHASE_MS = 100
/** A track that lies this far behind what others have reached stood still meanwhile: it is placed anew. */
const BEHIND_MS = 2_000
/** A clock that puts a track farther than this from where the order puts it is wrong: packets are logged within a second. */
const TRUST_MS = 2_000
/** A larger jump ahead is the speaker's clock and not time that passed. */
const AHEAD_MS = 30_000

const MS = SAMPLE_RATE / 1_000

export class Timeline {
  #front = 0
  #tracks = new Map<number, Track>()
  /** Log time minus capture time, the same for all tracks with a clock; known with the first of them. */
  #logged: number | undefined

  constructor(private readonly clocks = new Clocks()) {}

  /** Milliseconds since 1970 up to which everything has come. */
  get front(): number {
    return this.#front
  }

  /** Begins anew at `at`. */
  start(at: number): void {
    this.#front = at
    this.#tracks.clear()
    this.#logged = undefined
  }

  /** The edge says that it is as far as `at`: what comes from now on is later. */
  told(at: number): void {
    this.#front = Math.max(this.#front, at)
  }

  /** When the packet's first sample was heard by those who were there. */
  place(packet: Packet): number {
    const length = durationMs(packet)
    const first = this.#tracks.size === 0
    const known = this.#tracks.get(packet.handle)
    const track = known?.epoch === packet.epoch ? known : { epoch: packet.epoch, unwrapper: new TimestampUnwrapper(), offset: NaN }
    this.#tracks.set(packet.handle, track)
    const media = track.unwrapper.unwrap(packet.timestamp) / MS
    const end = media + track.offset + length
    if (Number.isNaN(end)) track.offset = this.#begin(packet, first ? this.#front : this.#front + Math.min(PHASE_MS, length / 2) - length) - media
    else if (end < this.#front - BEHIND_MS || end - length > this.#front + AHEAD_MS) track.offset = this.#front - length - media
    const at = media + track.offset
    this.#front = Math.max(this.#front, at + length)
    return at
  }

  /** Where a track begins that the order puts at `byOrder`. */
  #begin(packet: Packet, byOrder: number): number {
    const captured = this.clocks.captured(packet, byOrder)
    if (captured === undefined) return byOrder
    if (this.#logged === undefined) {
      if (Math.abs(byOrder - captured) <= TRUST_MS) this.#logged = byOrder - captured
      return byOrder
    }
    const byClock = captured + this.#logged
    return Math.abs(byClock - byOrder) <= TRUST_MS ? byClock : byOrder
  }
}

export function durationMs(packet: Packet): number {
  if (packet.kind === 'silence') return (packet.span * packet.duration * SILENCE_UNIT) / MS
  return (packet.frames.length * frameSamples(packet.frames[0]!)!) / MS
}

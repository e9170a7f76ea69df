// Puts one track's frames in order by (epoch, seq) and gives each once. A missing frame is waited for briefly (two edges
// may overtake each other while a session moves), then passed over: on a WebSocket nothing comes late for any other reason.

import { type Packet, spanOf } from '../wire/packet'
import { TimestampUnwrapper, addTimestamp, orderOf } from '../wire/seq'
import { frameSamples } from '../wire/opus'

/** What comes out, in order. Positions are unwrapped media samples. */
export type Ordered =
  | { kind: 'frame'; frame: Uint8Array; position: number; samples: number; backlog: boolean }
  | { kind: 'silence'; end: number }
  | { kind: 'lost'; frames: number; position: number; samples: number }
  | { kind: 'epoch' }

interface Waiting {
  epoch: number
  seq: number
  span: number
  timestamp: number
  samples: number
  /** It was sent late: when it came says nothing. */
  backlog: boolean
  frame?: Uint8Array
}

/** Wait for a missing frame this long at most, or until so many later frames have come. */
export const HOLD_MS = 40
const HOLD_FRAMES = 3

export class FrameOrder {
  #epoch = -1
  #next = 0
  #held: Waiting[] = []
  #heldSince = 0
  #unwrapper = new TimestampUnwrapper()
  duplicates = 0
  lost = 0

  constructor(private readonly emit: (item: Ordered) => void) {}

  /** Whether frames are held back: call `expire` when HOLD_MS have passed. */
  get holding(): boolean {
    return this.#held.length > 0
  }

  /** `now` in milliseconds, any clock. */
  push(packet: Packet, now: number): void {
    const { epoch, backlog } = packet
    if (packet.kind === 'silence') {
      const { seq, timestamp, span, duration } = packet
      this.#add({ epoch, seq, span, timestamp, samples: span * duration * 120, backlog }, now)
    } else {
      let { seq, timestamp } = packet
      for (const frame of packet.frames) {
        const samples = frameSamples(frame)!
        this.#add({ epoch, seq, span: 1, timestamp, samples, backlog, frame }, now)
        seq++
        timestamp = addTimestamp(timestamp, samples)
      }
    }
    if (spanOf(packet) > 0) this.#release(now)
  }

  /** Gives up on what was waited for too long. */
  expire(now: number): void {
    if (this.#held.length > 0 && now - this.#heldSince >= HOLD_MS) this.#passOver()
  }

  /** The edge skipped frames for this listener: nothing to wait for. */
  skipped(): void {
    if (this.#held.length > 0) this.#passOver()
  }

  #add(item: Waiting, now: number): void {
    if (this.#epoch < 0) {
      this.#epoch = item.epoch
      this.#next = item.seq
    }
    const end = orderOf(item.epoch, item.seq + item.span)
    if (end <= orderOf(this.#epoch, this.#next)) {
      this.duplicates += item.span
      return
    }
    const at = this.#held.findIndex((h) => orderOf(h.epoch, h.seq) >= orderOf(item.epoch, item.seq))
    const there = this.#held[at]
    if (there && there.epoch === item.epoch && there.seq === item.seq) {
      this.duplicates += item.span
      return
    }
    if (this.#held.length === 0) this.#heldSince = now
    if (at < 0) this.#held.push(item)
    else this.#held.splice(at, 0, item)
  }

  #release(now: number): void {
    this.#drain()
    if (this.#held.length === 0) return
    const waiting = this.#held.reduce((sum, item) => sum + (item.frame ? 1 : 0), 0)
    const newEpoch = this.#held[0]!.epoch !== this.#epoch
    if (waiting >= HOLD_FRAMES || newEpoch || now - this.#heldSince >= HOLD_MS) this.#passOver()
  }

  /** Emits what is next in order. */
  #drain(): void {
    while (this.#held.length > 0) {
      const item = this.#held[0]!
      if (item.epoch !== this.#epoch || item.seq > this.#next) return
      this.#held.shift()
      if (item.seq + item.span > this.#next) this.#give(item)
    }
  }

  /** Declares what is missing before the first held frame as lost, and goes on from there. */
  #passOver(): void {
    const first = this.#held[0]!
    if (first.epoch !== this.#epoch) {
      this.#epoch = first.epoch
      this.#unwrapper = new TimestampUnwrapper()
      this.emit({ kind: 'epoch' })
    } else {
      const frames = first.seq - this.#next
      const samples = first.frame ? first.samples : first.samples / first.span
      const position = this.#unwrapper.unwrap(first.timestamp) - frames * samples
      this.lost += frames
      this.emit({ kind: 'lost', frames, position, samples })
    }
    this.#next = first.seq
    this.#drain()
    if (this.#held.length > 0) this.#passOver()
  }

  #give(item: Waiting): void {
    const position = this.#unwrapper.unwrap(item.timestamp)
    this.#next = item.seq + item.span
    if (item.frame) this.emit({ kind: 'frame', frame: item.frame, position, samples: item.samples, backlog: item.backlog })
    else this.emit({ kind: 'silence', end: position + item.samples })
  }
}

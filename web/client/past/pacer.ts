// Packets of the past come faster than they are heard: two seconds at once, then as many as are played. They wait here,
// encoded, and are let go frame by frame as their time comes, as if a speaker spoke now. There is no clock in here: whoever
// holds it says what time it is. The buffer is bounded; beyond the bound the oldest is left out.

import { frameSamples } from '../wire/opus'
import { type Packet, spanOf } from '../wire/packet'
import { addTimestamp, orderOf } from '../wire/seq'
import type { Clocks } from './clocks'
import { Timeline } from './timeline'

export interface PacerEvents {
  /** This packet's time has come; it holds one frame, or declares silence. */
  release(packet: Packet): void
  /** Time stood still while the buffer was dry: what is released now is not late. */
  paused(): void
}

/** Playing begins, and goes on after it ran dry, with so much in hand. */
const READY_MS = 200
/** More than this is never held, nor more bytes. */
export const BOUND_MS = 20_000
export const BOUND_BYTES = 8 << 20
/** What a held frame weighs beside its bytes. */
const ITEM_BYTES = 96

interface Item {
  at: number
  packet: Packet
}

export class Pacer {
  #timeline: Timeline
  #queue: Item[] = []
  /** Of #queue, already released: the array is cut now and then. */
  #taken = 0
  #bytes = 0
  #seen = new Map<number, number>()
  /** Where the sound is, and when it was there; undefined while it stands. */
  #at = 0
  #since: number | undefined
  #rate = 1
  /** Milliseconds of sound left out because the buffer was full. */
  skippedMs = 0

  constructor(
    private readonly events: PacerEvents,
    clocks?: Clocks,
  ) {
    this.#timeline = new Timeline(clocks)
  }

  /** Begins at `at` (ms since 1970): everything from before is thrown away. */
  start(at: number, rate: number): void {
    this.#timeline.start(at)
    this.#queue = []
    this.#taken = 0
    this.#bytes = 0
    this.#seen.clear()
    this.#at = at
    this.#since = undefined
    this.#rate = rate
  }

  /** Log time (ms since 1970) of the sound that is let go now. */
  get at(): number {
    return this.#at
  }

  /** Log time up to which everything has come. */
  get front(): number {
    return this.#timeline.front
  }

  get aheadMs(): number {
    return Math.max(0, this.#timeline.front - this.#at)
  }

  /** Nothing is let go: there is too little in hand. */
  get dry(): boolean {
    return this.#since === undefined
  }

  get heldBytes(): number {
    return this.#bytes
  }

  get rate(): number {
    return this.#rate
  }

  setRate(rate: number, now: number): void {
    this.#move(now)
    this.#rate = rate
  }

  /** The edge says how far it is (ms since 1970). */
  told(at: number): void {
    this.#timeline.told(at)
    this.#bound()
  }

  push(packet: Packet): void {
    const last = orderOf(packet.epoch, packet.seq + spanOf(packet))
    const seen = this.#seen.get(packet.handle) ?? -1
    if (last <= seen) return
    this.#seen.set(packet.handle, last)
    let at = this.#timeline.place(packet)
    for (const one of apart(packet)) {
      if (orderOf(one.epoch, one.seq + spanOf(one)) > seen) this.#insert({ at, packet: one })
      if (one.kind === 'audio') at += frameSamples(one.frames[0]!)! / 48
    }
    this.#bound()
  }

  /** Lets go of all whose time has come at `now` (ms, any steady clock). */
  tick(now: number): void {
    if (this.#since === undefined) {
      if (this.aheadMs < READY_MS) return
      this.#since = now
      this.events.paused()
    }
    this.#move(now)
    while (this.#taken < this.#queue.length && this.#queue[this.#taken]!.at <= this.#at) this.#release()
    if (this.#taken > 512) this.#cut()
    if (this.#at < this.#timeline.front) return
    this.#at = this.#timeline.front
    this.#since = undefined
  }

  /** Lets go of all that is left, at once. */
  flush(): void {
    while (this.#taken < this.#queue.length) this.#release()
    this.#cut()
    this.#at = this.#timeline.front
    this.#since = undefined
  }

  #move(now: number): void {
    if (this.#since === undefined) return
    this.#at += (now - this.#since) * this.#rate
    this.#since = now
  }

  #release(): void {
    const { packet } = this.#queue[this.#taken++]!
    this.#bytes -= weight(packet)
    this.events.release(packet)
  }

  #cut(): void {
    this.#queue.splice(0, this.#taken)
    this.#taken = 0
  }

  #insert(item: Item): void {
    let place = this.#queue.length
    while (place > this.#taken && this.#queue[place - 1]!.at > item.at) place--
    this.#queue.splice(place, 0, item)
    this.#bytes += weight(item.packet)
  }

  #bound(): void {
    const before = this.#at
    while (this.#taken < this.#queue.length && (this.#bytes > BOUND_BYTES || this.aheadMs > BOUND_MS)) {
      const { at, packet } = this.#queue[this.#taken++]!
      this.#bytes -= weight(packet)
      this.#at = Math.max(this.#at, at)
    }
    if (this.aheadMs > BOUND_MS) this.#at = this.#timeline.front - READY_MS
    if (this.#at === before) return
    this.skippedMs += this.#at - before
    this.#cut()
  }
}

const weight = (packet: Packet): number => ITEM_BYTES + (packet.kind === 'audio' ? packet.frames[0]!.length : 0)

/** One packet for each frame, without the flag that it was sent late: from here on it is played as if it came now. */
function* apart(packet: Packet): Generator<Packet> {
  if (packet.kind === 'silence') {
    yield { ...packet, backlog: false }
    return
  }
  let { seq, timestamp } = packet
  for (const frame of packet.frames) {
    yield { ...packet, backlog: false, seq: seq++, timestamp, frames: [frame] }
    timestamp = addTimestamp(timestamp, frameSamples(frame)!)
  }
}

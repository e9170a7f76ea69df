// What one track has to send: every frame and silence from the moment it is made until the edge says it is durable.
// New items go out at once; what a lost or congested socket left unsent, or the edge asks for again, goes out as backlog,
// bound by acks. When more than `keepMs` is unacked the oldest is dropped: what is missing then is one growing gap. In a room
// that keeps nothing there are no acks, and nothing is kept here either: an item is heard live or not at all.

import { SAMPLE_RATE } from '../wire/opus'
import { type Packet, encodePacket } from '../wire/packet'
import { addTimestamp } from '../wire/seq'

export interface Item {
  seq: number
  timestamp: number
  voice: boolean
  /** One frame, or undefined for declared silence. */
  frame?: Uint8Array
  /** Seqs covered: 1 for a frame. */
  span: number
}

export interface Range {
  from: number
  to: number
}

export interface TrackShape {
  handle: number
  epoch: number
  frameMs: number
}

/** Frames per backlog packet, as in the log's own packs. */
const PACK_FRAMES = 10
/** A message is at most 8 KiB; this leaves room for the last packet's header. */
const MESSAGE_BYTES = 7_000
/** Backlog that may be on its way unacked. */
const BACKLOG_WINDOW_MS = 5_000
/** The edge refuses a seq jump of more than 30 s in live packets: stay clear of it. */
const MAX_JUMP_MS = 25_000

interface Kept extends Item {
  sent: boolean
  backlog: boolean
}

export class Outbox {
  #items: Kept[] = []
  #gap: Range | undefined
  #kept = true
  #acked = -1
  /** The seq after the newest item. */
  #next = 0
  /** Highest seq sent to any edge. */
  #highest = -1
  resent = 0

  constructor(
    readonly track: TrackShape,
    readonly keepMs = 120_000,
  ) {}

  /** Highest seq acked without a hole before it, −1 for none. */
  get acked(): number {
    return this.#acked
  }

  get unackedMs(): number {
    const first = this.#items[0]
    const last = this.#items.at(-1)
    return first && last ? (last.seq + last.span - first.seq) * this.track.frameMs : 0
  }

  get unsent(): boolean {
    return this.#items.some((item) => !item.sent)
  }

  /** What is neither acked nor here any more, and not declared yet. Only ever one: what is dropped is the oldest. */
  get gap(): Readonly<Range> | undefined {
    return this.#gap
  }

  /**
   * Follows the room's setting. What was let go while nothing was kept is a gap once something is, until an ack says that
   * the edge heard it all.
   */
  setKept(kept: boolean): void {
    if (kept === this.#kept) return
    this.#kept = kept
    this.#items = []
    this.#gap = kept && this.#next - 1 > this.#acked ? { from: this.#acked + 1, to: this.#next - 1 } : undefined
  }

  /** Keeps an item; gives the message to send at once, or undefined when it has to wait as backlog (or is lost). */
  push(item: Item, open: boolean): Uint8Array | undefined {
    this.#next = item.seq + item.span
    if (!this.#kept) return open ? this.#passing(item) : undefined
    const kept: Kept = { ...item, sent: false, backlog: false }
    this.#items.push(kept)
    this.#bound()
    const jumpMs = (item.seq - this.#highest) * this.track.frameMs
    if (!open || jumpMs > MAX_JUMP_MS) return undefined
    this.#mark(kept, false)
    return encodePacket(this.#packet([kept], false))
  }

  /** The next message of backlog, or undefined when there is none or the ack window is full. */
  backlog(): Uint8Array | undefined {
    let window = BACKLOG_WINDOW_MS / this.track.frameMs
    for (const item of this.#items) if (item.backlog) window -= item.span
    const packets: Uint8Array[] = []
    let bytes = 0
    for (let at = 0; at < this.#items.length && window > 0 && bytes < MESSAGE_BYTES; ) {
      if (this.#items[at]!.sent) {
        at++
        continue
      }
      const run = this.#run(at, MESSAGE_BYTES - bytes)
      if (run.length === 0) break
      for (const item of run) {
        this.#mark(item, true)
        window -= item.span
        this.resent += item.span
      }
      const packet = encodePacket(this.#packet(run, true))
      packets.push(packet)
      bytes += packet.length
      at += run.length
    }
    return packets.length > 0 ? join(packets, bytes) : undefined
  }

  ack(seq: number): void {
    if (seq <= this.#acked) return
    this.#acked = seq
    let done = 0
    while (done < this.#items.length && this.#items[done]!.seq + this.#items[done]!.span - 1 <= seq) done++
    this.#items.splice(0, done)
    this.#cutGap(seq)
  }

  /**
   * The edge asks for everything from `from` on; a new socket asks for everything that is not acked. What of it is no
   * longer here is part of the gap.
   */
  resend(from = 0): void {
    for (const item of this.#items) {
      if (item.seq + item.span - 1 < from) continue
      item.sent = false
      item.backlog = false
    }
    const first = this.#items[0]?.seq ?? this.#next
    const lost = Math.max(from, this.#acked + 1)
    if (this.#kept && lost < first) this.#gap = { from: Math.min(lost, this.#gap?.from ?? lost), to: first - 1 }
  }

  /** The edge has confirmed that this gap is declared. */
  declared(gap: Range): void {
    this.#cutGap(gap.to)
  }

  #cutGap(through: number): void {
    const gap = this.#gap
    if (gap) this.#gap = gap.to > through ? { from: Math.max(gap.from, through + 1), to: gap.to } : undefined
  }

  /** An item that is not kept. A jump the edge would refuse is bridged by silence: nobody hears anything of that time. */
  #passing(item: Item): Uint8Array {
    const from = this.#highest + 1
    const bridged = (item.seq - from) * this.track.frameMs > MAX_JUMP_MS
    this.#highest = item.seq + item.span - 1
    const packet = encodePacket(this.#packet([item], false))
    if (!bridged) return packet
    const span = Math.min(item.seq - from, 0xffff)
    const timestamp = addTimestamp(item.timestamp, -span * this.track.frameMs * (SAMPLE_RATE / 1_000))
    const silence = encodePacket(this.#packet([{ seq: item.seq - span, timestamp, voice: false, span }], false))
    return join([silence, packet], silence.length + packet.length)
  }

  #mark(item: Kept, backlog: boolean): void {
    item.sent = true
    item.backlog = backlog
    this.#highest = Math.max(this.#highest, item.seq + item.span - 1)
  }

  /** Items from `at` on that fit one packet: one silence, or up to ten frames in a row. */
  #run(at: number, room: number): Kept[] {
    const run: Kept[] = []
    let bytes = 16
    for (let i = at; i < this.#items.length && run.length < PACK_FRAMES; i++) {
      const item = this.#items[i]!
      const previous = run.at(-1)
      if (item.sent || (previous && (!item.frame || previous.seq + 1 !== item.seq))) break
      bytes += (item.frame?.length ?? 3) + 2
      if (bytes > room) break
      run.push(item)
      if (!item.frame) break
    }
    return run
  }

  #packet(items: Item[], backlog: boolean): Packet {
    const first = items[0]!
    const { handle, epoch, frameMs } = this.track
    const voice = items.some((item) => item.voice)
    const header = { handle, epoch, seq: first.seq, timestamp: first.timestamp, voice, backlog }
    if (!first.frame) return { ...header, kind: 'silence', span: first.span, duration: frameMs / 2.5 }
    return { ...header, kind: 'audio', frames: items.map((item) => item.frame!) }
  }

  #bound(): void {
    while (this.#items.length > 1 && this.unackedMs > this.keepMs) {
      const lost = this.#items.shift()!
      this.#gap = { from: this.#gap?.from ?? Math.max(lost.seq, this.#acked + 1), to: lost.seq + lost.span - 1 }
    }
  }
}

function join(parts: Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

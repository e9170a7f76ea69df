// One life of a track on the edge, from `track.start` to the edge's last word: what it has to send, how far that is acked, and, once it
// has ended, how much of it is missing.

import type { Link } from '../net/link'
import type { Outbox } from '../net/outbox'
import type { EdgeMessage, ResumedTrack, Welcome } from '../wire/messages'
import type { TrackCoder } from './coder'
import type { GapTeller } from './gap'

/** Of a track that is over, what is in no recording, nor will be. */
export interface Unkept {
  track: string
  missingMs: number
  ofMs: number
  /** Nobody can say any more how much it is: not more than this. */
  atMost: boolean
}

export interface LifeStats {
  track: string
  epoch: number
  sent: number
  acked: number
  unackedMs: number
  resent: number
  gaps: number
}

/** Whether an edge goes on with a track, has ended it and will tell how, or knows nothing of it. */
export type Fate = 'on' | 'over' | 'gone'

/** Sound that may wait in the socket before new frames are held back for the backlog. */
const CONGESTED_MS = 250
/** When a room begins to keep, an ack within this time says that nothing from before is missing. */
const FIRST_ACK_MS = 2_000

export class Life {
  /** The last seq; undefined while more may come. */
  #last: number | undefined
  /** The edge has ended the track: it takes nothing more. */
  #over = false
  /** The edge was asked for the end and has not answered: the next one is to hear how far the track is acked. */
  #asked = false
  #unkept: Unkept | undefined

  constructor(
    private readonly link: Link,
    readonly id: string,
    readonly outbox: Outbox,
    readonly gaps: GapTeller,
    readonly coder: TrackCoder,
    private readonly bitrate: number,
  ) {}

  get resumable(): ResumedTrack {
    return { track: this.id, epoch: this.outbox.track.epoch, acked: this.outbox.acked }
  }

  get stats(): LifeStats {
    const { acked, unackedMs, resent, track } = this.outbox
    return { track: this.id, epoch: track.epoch, sent: this.coder.next, acked, unackedMs, resent, gaps: this.gaps.told }
  }

  /** All that will ever be known is known: all of it is acked, or the edge has had its last word, or nothing is kept. */
  get settled(): boolean {
    if (this.#unkept) return true
    if (this.#last === undefined || this.#asked) return false
    return this.outbox.acked >= this.#last || !this.link.standing.keeps
  }

  /** What is missing, once settled. */
  get unkept(): Unkept | undefined {
    return this.#unkept && this.#unkept.missingMs > 0 ? this.#unkept : undefined
  }

  get congested(): boolean {
    const soundBytes = (this.bitrate / 8) * (CONGESTED_MS / 1_000)
    return this.link.bufferedAmount > soundBytes + 4_096
  }

  /** No more frames come: the encoder is empty, or what it holds goes nowhere. */
  stop(): void {
    this.#last ??= this.coder.next - 1
    this.coder.close()
  }

  /** Asks the edge to end the track; resolves when all of it is in the log, or the log is away. */
  async end(): Promise<void> {
    this.stop()
    this.gaps.due() // the end waits for acks, and they for the gap
    this.#asked = true
    const { id: track, outbox } = this
    await this.link.request({ type: 'track.end', track, epoch: outbox.track.epoch, last: this.#last! }).catch(() => {})
    this.#asked = false
  }

  /** A socket is up. */
  welcomed(welcome: Welcome): Fate {
    const known = welcome.resumed ? welcome.tracks?.find((own) => own.track === this.id) : undefined
    if (!known) {
      this.#over = true
      return welcome.resumed && welcome.over?.includes(this.id) ? 'over' : 'gone'
    }
    this.followKeep()
    if (known.epoch === this.outbox.track.epoch) this.outbox.ack(known.acked)
    this.outbox.resend()
    this.gaps.due()
    this.pump()
    return 'on'
  }

  heard(message: EdgeMessage): void {
    if (message.type === 'room') return this.followKeep()
    if (message.type === 'log' && message.state === 'ok') return this.gaps.due()
    if (message.type !== 'ack' && message.type !== 'resend' && message.type !== 'closed') return
    if (message.track !== this.id || message.epoch !== this.outbox.track.epoch) return
    if (message.type === 'closed') return this.#closed(message.acked, message.kept)
    if (message.type === 'ack') this.outbox.ack(message.seq)
    else this.outbox.resend(message.from)
    this.gaps.due()
  }

  /** Nobody will say how much of the track is kept. */
  giveUp(): void {
    this.stop()
    this.#over = true
    if (this.link.standing.keeps) this.#unkept ??= this.#missing(this.#last! - this.outbox.acked, true)
  }

  /** Sends what is waiting as backlog; call it now and then. An edge that has taken the right to speak takes nothing more. */
  pump(): void {
    if (this.#over || !this.link.open || !this.link.standing.speaks) return
    while (!this.congested) {
      const message = this.outbox.backlog()
      if (!message) break
      this.link.sendPackets(message)
    }
    if (!this.link.standing.logAway) this.gaps.poll()
  }

  followKeep(): void {
    this.outbox.setKept(this.link.standing.keeps)
    if (this.outbox.gap) this.gaps.due(FIRST_ACK_MS)
  }

  #closed(acked: number, kept: number): void {
    this.stop()
    this.#over = true
    this.outbox.ack(acked)
    this.#unkept = this.#missing(this.#last! + 1 - kept, false)
  }

  #missing(seqs: number, atMost: boolean): Unkept {
    const { frameMs } = this.outbox.track
    return { track: this.id, missingMs: Math.max(0, seqs) * frameMs, ofMs: (this.#last! + 1) * frameMs, atMost }
  }
}

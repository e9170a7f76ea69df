// One track that this session publishes: numbers the source's frames, declares silence while muted or gated, encodes the
// rest and sees the outbox emptied. It starts the track anew, under a new id, when the session did not outlive its socket.

import { AirloomError } from '../errors'
import { type EncoderConfig, FrameEncoder } from '../audio/encoder'
import { FRAME_MS, type Heard, type Source } from '../audio/source'
import { InOrder } from '../inorder'
import type { Link } from '../net/link'
import { type Item, Outbox } from '../net/outbox'
import type { EdgeMessage, ResumedTrack, Welcome } from '../wire/messages'
import { addTimestamp } from '../wire/seq'
import { MIN_FRAME_BYTES, SAMPLE_RATE } from '../wire/opus'
import { GapTeller } from './gap'

export interface PublishConfig {
  /** `mic`, `music`… */
  name: string
  label: string
  bitrate: number
  application: 'voip' | 'audio'
  /** Send nothing while the voice detector hears nobody. */
  gate: boolean
  muted: boolean
}

export interface PublisherStats {
  track: string
  epoch: number
  sent: number
  acked: number
  unackedMs: number
  resent: number
  gaps: number
}

const FRAME_SAMPLES = (SAMPLE_RATE * FRAME_MS) / 1_000
const SILENCE_FRAMES = 400 / FRAME_MS
const PUMP_MS = 100
/** Sound that may wait in the socket before new frames are held back for the backlog. */
const CONGESTED_MS = 250
const RETRY_MS = 1_000
/** When a room begins to keep, an ack within this time says that nothing from before is missing. */
const FIRST_ACK_MS = 2_000

/** One life of the track on the edge: from `track.start` to its end or the session's. */
interface Life {
  id: string
  outbox: Outbox
  gaps: GapTeller
  /** The source's index of seq 0, known with the first frame. */
  base: number | undefined
  /** Seq of the next frame. */
  next: number
  silent: { from: number; count: number } | undefined
}

export class Publisher {
  #life: Life | undefined
  #encoder: FrameEncoder | undefined
  #encoding: Omit<Item, 'frame'>[] = []
  #out: InOrder<Item>
  #muted: boolean
  #ended = false
  #starting = false
  #unsubscribe: () => void
  #pump: ReturnType<typeof setInterval>
  #gapsTold = 0

  constructor(
    private readonly link: Link,
    readonly source: Source,
    readonly config: PublishConfig,
    /** Each time the track has an id: at first, and again when it was started anew. */
    private readonly started: (track: string) => void,
    private readonly failed: (error: AirloomError) => void,
  ) {
    this.#muted = config.muted
    this.#out = this.#newOut()
    this.#unsubscribe = source.onFrame((frame) => this.#frame(frame))
    this.#pump = setInterval(() => this.#pumpBacklog(), PUMP_MS)
  }

  get id(): string | undefined {
    return this.#life?.id
  }

  get resumable(): ResumedTrack[] {
    const life = this.#life
    return life ? [{ track: life.id, epoch: life.outbox.track.epoch, acked: life.outbox.acked }] : []
  }

  /** Resolves when the edge knows the track. */
  async start(): Promise<void> {
    if (this.#starting || this.#ended) return
    this.#starting = true
    try {
      while (!this.#ended && !this.#life) await this.#startTrack().catch(tryAgainOr)
    } finally {
      this.#starting = false
    }
  }

  setMuted(muted: boolean): void {
    this.#muted = muted
    const track = this.#life?.id
    if (track) this.link.request({ type: 'track.mute', track, muted }).catch(() => {})
  }

  /** Stops sending and ends the track; resolves when all of it is in the log, or the log is away. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.#unsubscribe()
    await this.#encoder?.flush().catch(() => {})
    const life = this.#life
    if (life) {
      this.#flushSilence(life)
      life.gaps.due() // the end waits for acks, and they for the gap
      const last = life.next - 1
      await this.link.request({ type: 'track.end', track: life.id, epoch: life.outbox.track.epoch, last }).catch(() => {})
    }
    this.close()
  }

  close(): void {
    this.#ended = true
    this.#unsubscribe()
    clearInterval(this.#pump)
    this.#encoder?.close()
  }

  /** A socket is up: send again what is not acked, or start over when the session is a new one. */
  welcomed(welcome: Welcome): void {
    const life = this.#life
    if (!life) return void this.start().catch(this.failed)
    const known = welcome.resumed ? welcome.tracks?.find((t) => t.track === life.id) : undefined
    if (known) {
      this.#followKeep(life)
      if (known.epoch === life.outbox.track.epoch) life.outbox.ack(known.acked)
      life.outbox.resend()
      life.gaps.due()
      this.#pumpBacklog()
      return
    }
    this.#gapsTold += life.gaps.told
    this.#life = undefined
    if (this.#ended) return this.close()
    void this.start().catch(this.failed)
  }

  heard(message: EdgeMessage): void {
    const life = this.#life
    if (!life) return
    if (message.type === 'room') return this.#followKeep(life)
    if (message.type === 'log' && message.state === 'ok') return life.gaps.due()
    if (message.type !== 'ack' && message.type !== 'resend') return
    if (message.track !== life.id || message.epoch !== life.outbox.track.epoch) return
    if (message.type === 'ack') life.outbox.ack(message.seq)
    else life.outbox.resend(message.from)
    life.gaps.due()
  }

  stats(): PublisherStats | undefined {
    const life = this.#life
    if (!life) return undefined
    const { acked, unackedMs, resent } = life.outbox
    return { track: life.id, epoch: life.outbox.track.epoch, sent: life.next, acked, unackedMs, resent, gaps: this.#gapsTold + life.gaps.told }
  }

  #followKeep(life: Life): void {
    life.outbox.setKept(this.link.keeps)
    if (life.outbox.gap) life.gaps.due(FIRST_ACK_MS)
  }

  async #startTrack(): Promise<void> {
    const { name, label } = this.config
    const { channels, clock } = this.source
    const answer = await this.link.request({
      type: 'track.start',
      name,
      label,
      channels,
      frame_ms: FRAME_MS,
      epoch: 0,
      // The edge's clock is the better one: a laptop's may be minutes off.
      ...(clock && { clock: { timestamp: clock.timestamp, unix_us: Math.round(clock.unixUs + this.link.clockAheadMs * 1_000) } }),
    })
    if (answer.type !== 'track') throw new AirloomError('protocol', `track.start was answered with ${answer.type}`)
    if (this.#ended) {
      // Ended before it was there: the edge has a track now that nobody speaks on.
      void this.link.request({ type: 'track.end', track: answer.track, epoch: answer.epoch, last: -1 }).catch(() => {})
      return
    }
    this.#encoder?.close()
    this.#encoder = undefined
    this.#encoding = []
    this.#out = this.#newOut()
    const shape = { handle: answer.handle, epoch: answer.epoch, frameMs: FRAME_MS }
    const outbox = new Outbox(shape)
    outbox.setKept(this.link.keeps)
    const gaps = new GapTeller(outbox, (gap) => this.link.request({ type: 'gap', track: answer.track, epoch: answer.epoch, ...gap }))
    this.#life = { id: answer.track, outbox, gaps, base: undefined, next: 0, silent: undefined }
    if (this.#muted) this.setMuted(true)
    this.started(answer.track)
  }

  #frame(frame: Heard): void {
    const life = this.#life
    if (!life || this.#ended) return
    life.base ??= frame.index
    const seq = frame.index - life.base
    if (seq > life.next) this.#silence(life, seq - life.next) // the device stalled: that time is silence too
    if (this.#muted || (this.config.gate && !frame.level.voice)) return this.#silence(life, 1)
    this.#flushSilence(life)
    this.#encoding.push({ seq, timestamp: this.#timestamp(life, seq), voice: frame.level.voice, span: 1 })
    this.#out.reserve()
    life.next = seq + 1
    this.#encoder ??= this.#newEncoder()
    this.#encoder.encode(frame.channels)
  }

  #timestamp(life: Life, seq: number): number {
    return addTimestamp(0, (life.base! + seq) * FRAME_SAMPLES)
  }

  /** The first silent frame is declared at once, so that listeners do not wait; what follows every 400 ms. */
  #silence(life: Life, count: number): void {
    const first = life.silent === undefined
    life.silent ??= { from: life.next, count: 0 }
    life.silent.count += count
    life.next += count
    if (first || life.silent.count >= SILENCE_FRAMES) this.#flushSilence(life, true)
  }

  #flushSilence(life: Life, goesOn = false): void {
    const silent = life.silent
    life.silent = goesOn ? { from: life.next, count: 0 } : undefined
    if (!silent) return
    for (let { from, count } = silent; count > 0; ) {
      const span = Math.min(count, 0xffff)
      this.#out.add({ seq: from, timestamp: this.#timestamp(life, from), voice: false, span })
      from += span
      count -= span
    }
  }

  #newOut(): InOrder<Item> {
    return new InOrder((item) => this.#send(item))
  }

  #newEncoder(): FrameEncoder {
    const config: EncoderConfig = {
      channels: this.source.channels,
      bitrate: this.config.bitrate,
      frameMs: FRAME_MS,
      application: this.config.application,
    }
    const encoder: FrameEncoder = new FrameEncoder(
      config,
      (bytes) => encoder === this.#encoder && this.#encoded(bytes),
      (error) => encoder === this.#encoder && this.#encoderFailed(error),
    )
    return encoder
  }

  #encoded(bytes: Uint8Array): void {
    const item = this.#encoding.shift()
    if (!item) return
    this.#out.fill(bytes.length < MIN_FRAME_BYTES ? item : { ...item, frame: bytes })
  }

  /** What it still owed is declared silent; the next frame goes to a new encoder. */
  #encoderFailed(error: AirloomError): void {
    this.#encoder = undefined
    for (const item of this.#encoding.splice(0)) this.#out.fill(item)
    this.failed(error)
  }

  #send(item: Item): void {
    const life = this.#life
    if (!life) return
    const bytes = life.outbox.push(item, this.link.open && !this.#congested)
    if (bytes) this.link.sendPackets(bytes)
  }

  get #congested(): boolean {
    const soundBytes = (this.config.bitrate / 8) * (CONGESTED_MS / 1_000)
    return this.link.bufferedAmount > soundBytes + 4_096
  }

  #pumpBacklog(): void {
    const life = this.#life
    if (!life || !this.link.open) return
    while (!this.#congested) {
      const message = life.outbox.backlog()
      if (!message) break
      this.link.sendPackets(message)
    }
    if (!this.link.logAway) life.gaps.poll()
  }
}

/** What passes by itself is waited for; any other refusal stands. */
async function tryAgainOr(error: AirloomError): Promise<void> {
  if (error.code === 'log_away') await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  else if (error.code !== 'session_lost') throw error
}

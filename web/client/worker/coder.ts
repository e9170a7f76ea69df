// One life of a track, from frames to items: numbers the source's frames from 0 on, encodes them, and declares as silence what is
// muted, gated, or was never captured. Items come out in the order of their seqs.

import { AirloomError } from '../errors'
import { FrameEncoder } from '../audio/encoder'
import { FRAME_MS, type Heard } from '../audio/source'
import { InOrder } from '../inorder'
import type { Item } from '../net/outbox'
import { MIN_FRAME_BYTES, SAMPLE_RATE } from '../wire/opus'
import { addTimestamp } from '../wire/seq'

export interface CoderConfig {
  bitrate: number
  application: 'voip' | 'audio'
  /** Declare as silence what the voice detector hears nobody in. */
  gate: boolean
}

const FRAME_SAMPLES = (SAMPLE_RATE * FRAME_MS) / 1_000
const SILENCE_FRAMES = 400 / FRAME_MS

export class TrackCoder {
  #encoder: FrameEncoder | undefined
  #encoding: Omit<Item, 'frame'>[] = []
  #out: InOrder<Item>
  /** The source's index of seq 0, known with the first frame. */
  #base: number | undefined
  #next = 0
  #silent: { from: number; count: number } | undefined
  #closed = false

  constructor(
    private readonly config: CoderConfig,
    private readonly channels: 1 | 2,
    emit: (item: Item) => void,
    /** The encoder gave up; the next frame goes to a new one. */
    private readonly failed: (error: AirloomError) => void,
  ) {
    this.#out = new InOrder((item) => this.#closed || emit(item))
  }

  /** Seq of the next frame. */
  get next(): number {
    return this.#next
  }

  frame(frame: Heard, muted: boolean): void {
    if (this.#closed) return
    this.#base ??= frame.index
    const seq = frame.index - this.#base
    if (seq > this.#next) this.#silence(seq - this.#next) // the device stalled: that time is silence too
    if (muted || (this.config.gate && !frame.level.voice)) return this.#silence(1)
    this.#flushSilence()
    this.#encoding.push({ seq, timestamp: this.#timestamp(seq), voice: frame.level.voice, span: 1 })
    this.#out.reserve()
    this.#next = seq + 1
    this.#encoder ??= this.#newEncoder()
    this.#encoder.encode(frame.channels)
  }

  /** Resolves when all that went in has come out. */
  async flush(): Promise<void> {
    await this.#encoder?.flush().catch(() => {})
    this.#flushSilence()
  }

  /** Lets go of the encoder; what it still holds never comes out. */
  close(): void {
    this.#closed = true
    this.#encoder?.close()
    this.#encoder = undefined
  }

  #timestamp(seq: number): number {
    return addTimestamp(0, (this.#base! + seq) * FRAME_SAMPLES)
  }

  /** The first silent frame is declared at once, so that listeners do not wait; what follows every 400 ms. */
  #silence(count: number): void {
    const first = this.#silent === undefined
    this.#silent ??= { from: this.#next, count: 0 }
    this.#silent.count += count
    this.#next += count
    if (first || this.#silent.count >= SILENCE_FRAMES) this.#flushSilence(true)
  }

  #flushSilence(goesOn = false): void {
    const silent = this.#silent
    this.#silent = goesOn ? { from: this.#next, count: 0 } : undefined
    if (!silent) return
    for (let { from, count } = silent; count > 0; ) {
      const span = Math.min(count, 0xffff)
      this.#out.add({ seq: from, timestamp: this.#timestamp(from), voice: false, span })
      from += span
      count -= span
    }
  }

  #newEncoder(): FrameEncoder {
    const { bitrate, application } = this.config
    const encoder: FrameEncoder = new FrameEncoder(
      { channels: this.channels, bitrate, frameMs: FRAME_MS, application },
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

  /** What it still owed is declared silent. */
  #encoderFailed(error: AirloomError): void {
    this.#encoder = undefined
    for (const item of this.#encoding.splice(0)) this.#out.fill(item)
    this.failed(error)
  }
}

// One speaker's track on the listener's side: packets in, blocks of samples out to the player's jitter buffer. Lost
// frames are made up by the decoder itself: a packet of nothing but the last TOC byte makes libopus conceal one frame.

import { InOrder } from '../inorder'
import { SAMPLE_RATE } from '../wire/opus'
import type { Packet } from '../wire/packet'
import type { Block } from './jitter'
import { FrameOrder, HOLD_MS, type Ordered } from './order'
import { Stretch } from './stretch'

/** What a player is told. Positions are media samples. */
export type PlayerMessage =
  | ({ type: 'block' } & Block)
  | { type: 'silence'; end: number }
  /** A new epoch: positions start anew. */
  | { type: 'reset' }
  /** Time stood still; positions go on. */
  | { type: 'paused' }
  /** Whether what follows is the past. */
  | { type: 'past'; past: boolean }

/** What comes out of the decoder, in order, before it is stretched. */
type Decoded = PlayerMessage | { type: 'rate'; rate: number }

export interface ReceiverStats {
  frames: number
  concealed: number
  lost: number
  duplicates: number
  decodeErrors: number
}

/** More than this in a row is not made up: concealment fades to nothing anyway. */
const CONCEAL_FRAMES = 5

interface Decoding {
  start: number
  samples: number
  concealed: boolean
  backlog: boolean
}

export class TrackReceiver {
  #order = this.#newOrder()
  #out: InOrder<Decoded>
  #stretch = new Stretch(({ start, channels }) => this.#post({ ...this.#block, start, channels }))
  /** What is said of the block that is being stretched. */
  #block = { type: 'block' as const, concealed: false, backlog: false }
  #decoding: Decoding[] = []
  #decoder: AudioDecoder | undefined
  #toc: number | undefined
  #closed = false
  #counts = { frames: 0, concealed: 0, decodeErrors: 0 }

  constructor(
    readonly channels: number,
    private readonly port: MessagePort,
  ) {
    this.#out = new InOrder((decoded) => this.#decodedInOrder(decoded))
  }

  push(packet: Packet): void {
    this.#order.push(packet, performance.now())
    if (this.#order.holding) setTimeout(() => !this.#closed && this.#order.expire(performance.now()), HOLD_MS + 1)
  }

  /** Frames were left out on purpose: what comes next is not late, and what is missing not lost. */
  restart(): void {
    this.#order = this.#newOrder()
    this.#out.add({ type: 'reset' })
  }

  /** Whether what is pushed from now on is the past, and at which rate it plays: 1, or more to come nearer to live. */
  setPast(past: boolean, rate: number): void {
    this.#out.add({ type: 'rate', rate })
    this.#out.add({ type: 'past', past })
  }

  paused(): void {
    this.#out.add({ type: 'paused' })
  }

  skipped(): void {
    this.#order.skipped()
  }

  stats(): ReceiverStats {
    return { ...this.#counts, lost: this.#order.lost, duplicates: this.#order.duplicates }
  }

  close(): void {
    this.#closed = true
    this.#dropDecoder()
    this.port.close()
  }

  #newOrder(): FrameOrder {
    return new FrameOrder((item) => this.#ordered(item))
  }

  #ordered(item: Ordered): void {
    switch (item.kind) {
      case 'frame':
        this.#toc = item.frame[0]!
        this.#counts.frames++
        this.#decode(item.frame, { start: item.position, samples: item.samples, concealed: false, backlog: item.backlog })
        break
      case 'lost':
        for (let i = 0; i < Math.min(item.frames, CONCEAL_FRAMES); i++) this.#conceal(item.position + i * item.samples, item.samples)
        break
      case 'silence':
        this.#out.add({ type: 'silence', end: item.end })
        break
      case 'epoch':
        this.#out.add({ type: 'reset' })
    }
  }

  #conceal(start: number, samples: number): void {
    if (this.#toc === undefined) return
    this.#counts.concealed++
    this.#decode(Uint8Array.of(this.#toc & 0xfc), { start, samples, concealed: true, backlog: false })
  }

  #decode(data: Uint8Array, what: Decoding): void {
    this.#decoder ??= this.#newDecoder()
    this.#decoding.push(what)
    this.#out.reserve()
    this.#decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: (what.start / SAMPLE_RATE) * 1e6, data: data as Uint8Array<ArrayBuffer> }))
  }

  #newDecoder(): AudioDecoder {
    const decoder: AudioDecoder = new AudioDecoder({
      output: (data) => this.#decoded(data),
      error: () => decoder === this.#decoder && this.#failed(),
    })
    // No description: with one the decoder trims the first frames and shifts the times of all others.
    decoder.configure({ codec: 'opus', sampleRate: SAMPLE_RATE, numberOfChannels: this.channels })
    return decoder
  }

  #decoded(data: AudioData): void {
    const what = this.#decoding.shift()
    if (what) {
      const channels = Array.from({ length: data.numberOfChannels }, (_, planeIndex) => {
        const plane = new Float32Array(data.numberOfFrames)
        data.copyTo(plane, { planeIndex, format: 'f32-planar' })
        return plane
      })
      this.#out.fill({ type: 'block', start: what.start, channels, concealed: what.concealed, backlog: what.backlog })
    }
    data.close()
  }

  /** The decoder gave up: what it still owed is silence, the next frame goes to a new one. */
  #failed(): void {
    this.#counts.decodeErrors++
    this.#dropDecoder()
    for (const { start } of this.#decoding.splice(0)) this.#out.fill({ type: 'silence', end: start })
  }

  #dropDecoder(): void {
    const decoder = this.#decoder
    this.#decoder = undefined
    if (decoder && decoder.state !== 'closed') decoder.close()
  }

  #decodedInOrder(decoded: Decoded): void {
    switch (decoded.type) {
      case 'block':
        this.#block = { type: 'block', concealed: decoded.concealed, backlog: decoded.backlog ?? false }
        return this.#stretch.push(decoded.start, decoded.channels)
      case 'silence':
        return this.#post({ type: 'silence', end: this.#stretch.silence(decoded.end) })
      case 'rate':
        this.#stretch.rate = decoded.rate
        return
      case 'reset':
        this.#stretch.reset()
    }
    this.#post(decoded)
  }

  #post(message: PlayerMessage): void {
    if (this.#closed) return
    const transfer = message.type === 'block' ? message.channels.map((channel) => channel.buffer as ArrayBuffer) : []
    this.port.postMessage(message, transfer)
  }
}

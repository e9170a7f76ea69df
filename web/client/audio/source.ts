// A source of sound inside the worker: blocks come in from a microphone, a capture worklet or a decoded file; frames of
// 20 ms go out to whoever publishes them, with their level. It runs from the moment it is opened, so that a person sees
// the level before anything is sent.

import { type SourceFrame, Framer } from './framer'
import { type Level, VoiceDetector, measure } from './meter'
import { SAMPLE_RATE } from '../wire/opus'
import { addTimestamp } from '../wire/seq'

export const FRAME_MS = 20
const FRAME_SAMPLES = (SAMPLE_RATE * FRAME_MS) / 1_000
/** A hole in the device's own time longer than this is time that passed without samples. */
const STALL_MS = 100

export interface Heard extends SourceFrame {
  level: Level
}

/** Blocks as they come. `deviceMs`: the device's time of the first sample, where it tells one. */
export interface Input {
  channels: Float32Array[]
  rate: number
  deviceMs?: number
}

const utcNowMs = (): number => performance.timeOrigin + performance.now()

export class Source {
  #framer: Framer
  #detector = new VoiceDetector(FRAME_MS)
  #deviceDueMs: number | undefined
  #frames = new Set<(frame: Heard) => void>()
  #stop: () => void = () => {}
  #closed = false
  #clock: { timestamp: number; unixUs: number } | undefined

  constructor(
    readonly channels: 1 | 2,
    private readonly level: (level: Level) => void,
    private readonly ended: () => void,
  ) {
    this.#framer = new Framer(channels, FRAME_SAMPLES, (frame) => this.#framed(frame))
  }

  /** When a sample of this source's counter was captured, by this machine's clock; undefined before the first frame. */
  get clock(): { timestamp: number; unixUs: number } | undefined {
    return this.#clock
  }

  onFrame(listener: (frame: Heard) => void): () => void {
    this.#frames.add(listener)
    return () => this.#frames.delete(listener)
  }

  push({ channels, rate, deviceMs }: Input): void {
    if (this.#closed) return
    if (deviceMs !== undefined) {
      const hole = deviceMs - (this.#deviceDueMs ?? deviceMs)
      if (hole > STALL_MS) this.#framer.skip(Math.round(hole / FRAME_MS))
      this.#deviceDueMs = deviceMs + (channels[0]!.length / rate) * 1_000
    }
    this.#framer.push(channels, rate)
  }

  /** From a MediaStreamTrackProcessor. */
  async readStream(readable: ReadableStream<AudioData>): Promise<void> {
    const reader = readable.getReader()
    this.#stop = () => void reader.cancel().catch(() => {})
    for (;;) {
      const { value: data, done } = await reader.read()
      if (done || this.#closed) {
        data?.close()
        break
      }
      const channels = Array.from({ length: data.numberOfChannels }, (_, planeIndex) => {
        const plane = new Float32Array(data.numberOfFrames)
        data.copyTo(plane, { planeIndex, format: 'f32-planar' })
        return plane
      })
      const input = { channels, rate: data.sampleRate, deviceMs: data.timestamp / 1_000 }
      data.close()
      this.push(input)
    }
    this.#end()
  }

  /** From a capture worklet. */
  readPort(port: MessagePort): void {
    this.#stop = () => port.close()
    port.onmessage = ({ data }: MessageEvent<{ channels: Float32Array[]; rate: number }>) => this.push(data)
  }

  /** A whole file at 48 kHz, paced in real time by this worker's clock. */
  playFile(channels: Float32Array[], loop: boolean): void {
    const length = channels[0]!.length
    const started = performance.now()
    let given = 0
    const timer = setInterval(() => {
      const due = ((performance.now() - started) / 1_000) * SAMPLE_RATE
      for (; given + FRAME_SAMPLES <= due; given += FRAME_SAMPLES) {
        if (!loop && given >= length) {
          this.#end()
          return
        }
        this.push({ channels: channels.map((channel) => cut(channel, given % length, loop)), rate: SAMPLE_RATE })
      }
    }, 10)
    this.#stop = () => clearInterval(timer)
  }

  close(): void {
    this.#closed = true
    this.#frames.clear()
    this.#stop()
  }

  #end(): void {
    if (this.#closed) return
    this.close()
    this.ended()
  }

  #framed(frame: SourceFrame): void {
    const { rms, peak } = measure(frame.channels)
    const level = { rms, peak, voice: this.#detector.hear(rms) }
    this.level(level)
    this.#clock = { timestamp: addTimestamp(0, frame.index * FRAME_SAMPLES), unixUs: Math.round((utcNowMs() - FRAME_MS) * 1_000) }
    for (const listener of this.#frames) listener({ ...frame, level })
  }
}

/** One frame from `at` on, going round at the end of a loop. */
function cut(channel: Float32Array, at: number, loop: boolean): Float32Array {
  const frame = new Float32Array(FRAME_SAMPLES)
  const part = channel.subarray(at, at + FRAME_SAMPLES)
  frame.set(part)
  if (loop && part.length < FRAME_SAMPLES) frame.set(channel.subarray(0, FRAME_SAMPLES - part.length), part.length)
  return frame
}

// From blocks of any rate, size and channel count to frames of 20 ms at 48 kHz: the channels are mixed explicitly (a
// codec that gets more channels than it was set up for closes), the rate is converted, the samples counted. Frame i
// starts at sample i × 960 of the source's own counter, whatever time stamps the device or browser invents.

import { SAMPLE_RATE } from '../wire/opus'
import { Resampler } from './resampler'

export interface SourceFrame {
  /** Counts every frame duration since the source opened, also those that were lost. */
  index: number
  /** One array of frame-size samples per channel. */
  channels: Float32Array[]
}

/** Mixes to the channel count asked for: to one by the mean, to two by doubling one or taking the first two. */
export function mix(input: Float32Array[], channels: number): Float32Array[] {
  if (input.length === channels) return input
  if (channels > 1) return Array.from({ length: channels }, (_, c) => input[Math.min(c, input.length - 1)]!)
  const out = new Float32Array(input[0]!.length)
  for (const channel of input) for (let i = 0; i < out.length; i++) out[i]! += channel[i]! / input.length
  return [out]
}

export class Framer {
  #resamplers: Resampler[] = []
  #rate = 0
  #filling: Float32Array[]
  #filled = 0
  #index = 0

  constructor(
    readonly channels: number,
    readonly frameSize: number,
    private readonly emit: (frame: SourceFrame) => void,
  ) {
    this.#filling = this.#empty()
  }

  /** Index of the frame that is being filled. */
  get index(): number {
    return this.#index
  }

  push(input: Float32Array[], rate: number): void {
    if (rate !== this.#rate) {
      this.#rate = rate
      this.#resamplers = Array.from({ length: this.channels }, () => new Resampler(rate, SAMPLE_RATE))
    }
    const mixed = mix(input, this.channels).map((channel, c) => this.#resamplers[c]!.push(channel))
    const length = mixed[0]!.length
    for (let at = 0; at < length; ) {
      const take = Math.min(this.frameSize - this.#filled, length - at)
      mixed.forEach((channel, c) => this.#filling[c]!.set(channel.subarray(at, at + take), this.#filled))
      at += take
      this.#filled += take
      if (this.#filled === this.frameSize) this.#finish()
    }
  }

  /** Time passed without samples (the device stalled): the counter moves on, the frame begun is finished with silence. */
  skip(frames: number): void {
    if (this.#filled > 0) this.#finish()
    this.#index += frames
  }

  #finish(): void {
    const channels = this.#filling
    this.#filling = this.#empty()
    this.#filled = 0
    this.emit({ index: this.#index++, channels })
  }

  #empty(): Float32Array[] {
    return Array.from({ length: this.channels }, () => new Float32Array(this.frameSize))
  }
}

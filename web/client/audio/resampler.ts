// Any rate to any other, one channel, block by block: a windowed sinc (Kaiser) read at fractional positions. The same
// samples come out however the input was cut. Source: J. O. Smith, "Digital Audio Resampling", CCRMA.

const ZERO_CROSSINGS = 24
const STEPS = 512 // table entries per zero crossing, linearly interpolated
const KAISER_BETA = 9
/** Share of the lower Nyquist frequency that is passed. */
const ROLLOFF = 0.94

const table = makeTable()

function makeTable(): Float32Array {
  const size = ZERO_CROSSINGS * STEPS
  const values = new Float32Array(size + 2)
  for (let i = 0; i <= size; i++) {
    const x = i / STEPS
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
    values[i] = sinc * (bessel0(KAISER_BETA * Math.sqrt(1 - (i / size) ** 2)) / bessel0(KAISER_BETA))
  }
  return values
}

function bessel0(x: number): number {
  let sum = 1
  let term = 1
  for (let k = 1; term > sum * 1e-12; k++) {
    term *= (x / (2 * k)) ** 2
    sum += term
  }
  return sum
}

export class Resampler {
  /** Input samples per output sample. */
  #step: number
  /** Cut-off relative to the input's Nyquist frequency. */
  #cutoff: number
  /** Input samples on each side of a position that count. */
  #reach: number
  #held: Float32Array
  /** Position of the next output sample in #held. */
  #position: number

  constructor(
    readonly from: number,
    readonly to: number,
  ) {
    this.#step = from / to
    this.#cutoff = Math.min(1, to / from) * ROLLOFF
    this.#reach = Math.ceil(ZERO_CROSSINGS / this.#cutoff)
    this.#held = new Float32Array(this.#reach) // silence before the first sample
    this.#position = this.#reach
  }

  /** Output for as much of the input as its neighbourhood is known for; the rest comes with the next block. */
  push(input: Float32Array): Float32Array {
    if (this.from === this.to) return input
    const held = new Float32Array(this.#held.length + input.length)
    held.set(this.#held)
    held.set(input, this.#held.length)
    const usable = held.length - this.#reach - this.#position
    const output = new Float32Array(Math.max(0, Math.ceil(usable / this.#step)))
    const start = this.#position
    for (let i = 0; i < output.length; i++) output[i] = this.#at(held, start + i * this.#step)
    this.#position = start + output.length * this.#step
    const drop = Math.max(0, Math.floor(this.#position) - this.#reach)
    this.#held = held.slice(drop)
    this.#position -= drop
    return output
  }

  #at(held: Float32Array, position: number): number {
    const cutoff = this.#cutoff
    const first = Math.max(0, Math.ceil(position - this.#reach))
    const last = Math.min(held.length - 1, Math.floor(position + this.#reach))
    let sum = 0
    for (let k = first; k <= last; k++) {
      const x = Math.abs(position - k) * cutoff * STEPS
      const at = Math.floor(x)
      if (at >= ZERO_CROSSINGS * STEPS) continue
      const low = table[at]!
      sum += held[k]! * (low + (x - at) * (table[at + 1]! - low))
    }
    return sum * cutoff
  }
}

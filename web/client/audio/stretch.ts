// Plays sound faster without making voices high: overlapping pieces are taken at a longer step than they are put down,
// each moved by a few milliseconds to where it continues best what is already there (WSOLA: Verhelst and Roelands, ICASSP
// 1993). At rate 1 everything passes as it is. Positions in are media samples; positions out are what a player counts, and
// go on without a jump when the rate changes.

export interface Stretched {
  start: number
  channels: Float32Array[]
}

/** Samples put down at a time, at 48 kHz: 12 ms; a piece is twice as long. */
const STEP = 576
/** A piece may be taken so much earlier or later. */
const REACH = 384
/** Likeness is judged by every so manieth sample, at every so manieth place. */
const COARSE = 4
/** A jump in the media larger than this is not made up by what was held. */
const SLACK = 8

export class Stretch {
  #rate = 1
  /** Input that may still be needed; #held[c][0] is media position #first. */
  #held: Float32Array[] = []
  #first = 0
  /** What follows the last piece, to be faded into the next. */
  #tail: Float32Array[] | undefined
  /** Media position at which the tail ends. */
  #after = 0
  /** Where the next piece wants to be taken. */
  #want = 0
  /** Media position #inBase is heard at #outBase; from there it goes on at the rate. */
  #inBase: number | undefined
  #outBase = 0
  /** The next sample put out. */
  #out = 0

  constructor(private readonly emit: (block: Stretched) => void) {}

  get rate(): number {
    return this.#rate
  }

  set rate(rate: number) {
    if (rate === this.#rate) return
    this.#finish()
    if (this.#inBase !== undefined) {
      this.#outBase = this.#map(this.#end)
      this.#inBase = this.#end
    }
    this.#rate = rate
  }

  /** Nothing of before counts: positions out begin where they come in. */
  reset(): void {
    this.#held = []
    this.#tail = undefined
    this.#inBase = undefined
  }

  push(start: number, channels: Float32Array[]): void {
    if (this.#inBase === undefined) this.#begin(start)
    else if (this.#held.length === 0 || Math.abs(start - this.#end) > SLACK || this.#held.length !== channels.length) this.#jump(start)
    if (this.#rate === 1) {
      this.#first = start + channels[0]!.length
      return this.#give(channels)
    }
    this.#held = this.#held.length > 0 ? this.#held.map((held, c) => joined(held, channels[c]!)) : channels.map((channel) => channel.slice())
    this.#stretch()
  }

  /** Declared silence up to media position `end`; returns where that is for the player. */
  silence(end: number): number {
    if (this.#inBase === undefined) this.#begin(end)
    this.#finish()
    this.#first = Math.max(this.#first, end)
    return (this.#out = Math.max(this.#out, this.#map(end)))
  }

  get #end(): number {
    return this.#first + (this.#held[0]?.length ?? 0)
  }

  #map(position: number): number {
    return Math.round(this.#outBase + (position - this.#inBase!) / this.#rate)
  }

  #begin(start: number): void {
    this.#inBase = this.#outBase = this.#out = this.#first = start
    this.#held = []
    this.#tail = undefined
  }

  #jump(start: number): void {
    this.#finish()
    this.#out = Math.max(this.#out, this.#map(start))
    this.#first = start
    this.#want = start
  }

  #give(channels: Float32Array[]): void {
    const start = this.#out
    this.#out += channels[0]!.length // before it is given away: the taker may detach it
    this.emit({ start, channels })
  }

  #stretch(): void {
    if (!this.#tail) {
      if (this.#held[0]!.length < 2 * STEP) return
      this.#take(this.#first)
    }
    while (this.#want + REACH + 2 * STEP < this.#end) this.#take(Math.max(this.#first, this.#want + this.#best()))
    // Needed is what a piece may be taken from, and what follows the tail, should the stretching end here.
    const done = Math.max(0, Math.floor(Math.min(this.#want - REACH, this.#after)) - this.#first)
    this.#held = this.#held.map((held) => held.slice(done))
    this.#first += done
  }

  /** Puts down the piece at media position `from`, faded over what follows the piece before. */
  #take(from: number): void {
    const at = Math.round(from) - this.#first
    const tail = this.#tail
    this.#give(this.#held.map((held, c) => (tail ? crossfade(tail[c]!, held.subarray(at, at + STEP)) : held.slice(at, at + STEP))))
    this.#tail = this.#held.map((held) => held.slice(at + STEP, at + 2 * STEP))
    this.#after = this.#first + at + 2 * STEP
    this.#want = (tail ? this.#want : this.#first) + STEP * this.#rate
  }

  /** How far from where it is wanted a piece continues the tail best. */
  #best(): number {
    const held = this.#held[0]!
    const tail = this.#tail![0]!
    const base = Math.round(this.#want) - this.#first
    let best = { by: 0, likeness: -Infinity }
    for (let by = -Math.min(REACH, base); by <= REACH; by += COARSE) {
      let [product, energy] = [0, 1e-9]
      for (let i = 0; i < STEP; i += COARSE) {
        const sample = held[base + by + i]!
        product += sample * tail[i]!
        energy += sample * sample
      }
      const likeness = product / Math.sqrt(energy)
      if (likeness > best.likeness) best = { by, likeness }
    }
    return best.by
  }

  /** What follows the last piece goes out as it is: it continues it without a seam. */
  #finish(): void {
    const [tail, end] = [this.#tail, this.#end]
    const rest = this.#held.map((held) => (tail ? held.slice(this.#after - this.#first) : held))
    this.#tail = undefined
    this.#held = []
    if (tail) this.#give(tail)
    if (rest.length > 0 && rest[0]!.length > 0) this.#give(rest)
    this.#first = end
    this.#want = end
  }
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const both = new Float32Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

function crossfade(from: Float32Array, to: Float32Array): Float32Array {
  return from.map((sample, i) => {
    const gain = (i + 0.5) / from.length
    return sample * (1 - gain) + to[i]! * gain
  })
}

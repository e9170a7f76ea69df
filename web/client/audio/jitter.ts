// One speaker's jitter buffer: decoded blocks in, samples for the output device out. It steers the *playout delay* (how
// long after its media time a sample is played), not its fill level, so a stall of the network does not look like an
// emptied buffer. It moves towards the delay the estimator asks for by playing up to 2 % faster or slower, more in quiet
// passages, at once in declared silence. Positions are media samples at 48 kHz, unwrapped; there is no clock in here.

import { SAMPLE_RATE } from '../wire/opus'
import { DelayEstimator } from './delay'
import { FADE, fade, peakOf } from './fade'

export interface Block {
  /** Media position of the first sample. */
  start: number
  channels: Float32Array[]
  /** Made up for a lost frame. */
  concealed: boolean
  /** Sent late, to begin with: its arrival says nothing of the path. */
  backlog?: boolean
}

export interface PlayoutStats {
  /** How far behind the fastest arrival sound is played now, and wants to be. */
  delayMs: number
  targetMs: number
  /** Sound that waits to be played. */
  bufferedMs: number
  /** Times and milliseconds without sound though the speaker had not declared silence. */
  underruns: number
  underrunMs: number
  /** Frames that came after their time. */
  late: number
  concealed: number
  /** Jumps over sound to come back near the live edge, and milliseconds of it. */
  skips: number
  skippedMs: number
  played: number
}

const MS = SAMPLE_RATE / 1_000
/** Start steering when off by this much, stop when within the smaller one. */
const STEER_MS = 5
const SETTLED_MS = 1
/** Farther behind than this: jump. */
const JUMP_MS = 250
/** Sound waiting beyond this is dropped, oldest first. */
const BOUND_MS = 10_000
const QUIET_PEAK = 0.004

const PAST_SPARE_MS = 120

interface Held extends Block {
  end: number
  quiet: boolean
}

export class JitterBuffer {
  readonly delay: DelayEstimator
  #blocks: Held[] = []
  /** Media is known (sound or declared silence) up to here. */
  #filled = -Infinity
  #filledSilent = true
  #position = -Infinity
  #playing = false
  #starvedAt = -1
  #steering = false
  /** Samples of a fade from #from to the sound that are left. */
  #fadeIn = 0
  #from = [0, 0]
  /** The last value played, per channel, and how much of its fading out is left. */
  #last = [0, 0]
  #tailLeft = 0
  #lastTransitMs = 0
  #scratch: Float32Array[] = [new Float32Array(0), new Float32Array(0)]
  #counts = { underruns: 0, underrunMs: 0, late: 0, concealed: 0, skips: 0, skippedMs: 0, played: 0 }

  /** `rate` is the output device's. */
  constructor(
    readonly rate: number = SAMPLE_RATE,
    delay = new DelayEstimator(),
  ) {
    this.delay = delay
  }

  /** A decoded block arrived when the output device stood at frame `now`. */
  push(block: Block, now: number): void {
    const end = block.start + block.channels[0]!.length
    if (!block.concealed && !block.backlog) this.delay.arrived(this.#ms(now) - block.start / MS)
    if (end <= this.#position || end <= this.#filled) {
      this.#counts.late++
      return
    }
    if (block.concealed) this.#counts.concealed++
    if (block.start > this.#filled + 0.5) {
      this.#fadeOutLast()
      fade(block.channels, true)
    } else if (this.#filledSilent) fade(block.channels, true)
    this.#blocks.push({ ...block, end, quiet: peakOf(block.channels) < QUIET_PEAK })
    this.#filled = end
    this.#filledSilent = false
    this.#bound()
  }

  /** The speaker declared that nothing is to be heard up to media position `end`. */
  silence(end: number): void {
    if (end <= this.#filled) return
    if (!this.#filledSilent) this.#fadeOutLast()
    this.#filled = end
    this.#filledSilent = true
  }

  /** A new epoch, or a long standstill of the output: nothing of before counts. */
  reset(): void {
    this.#blocks = []
    this.#filled = -Infinity
    this.#filledSilent = true
    this.#position = -Infinity
    this.#playing = false
    this.#starvedAt = -1
    this.delay.reset()
  }

  /** Time stood still where the sound comes from: it goes on where it was, but how late it comes begins anew. */
  paused(): void {
    this.delay.reset()
  }

  /** Whether it is the past that comes: nobody waits for an answer, so it is played with more in hand. */
  setPast(past: boolean): void {
    this.delay.spareMs = past ? PAST_SPARE_MS : 0
  }

  /** Fills `out` (one or two channels of equal length), whose first sample the device plays as its frame `now`. */
  pull(out: Float32Array[], now: number): void {
    const length = out[0]!.length
    let done = 0
    if (!this.#playing) this.#tryStart(now)
    if (this.#playing) {
      const due = (this.#ms(now) - this.delay.targetTransitMs) * MS
      this.#correct(due)
      done = this.#render(out, length, this.#speed(due))
      this.#lastTransitMs = this.#ms(now) - this.#position / MS
      if (done < length) this.#starve(now)
    }
    this.#fadeTail(out, done)
  }

  stats(): PlayoutStats {
    return {
      ...this.#counts,
      delayMs: this.#lastTransitMs - this.delay.fastestMs,
      targetMs: this.delay.targetTransitMs - this.delay.fastestMs,
      bufferedMs: Math.max(0, this.#blocks.reduce((sum, b) => sum + b.end - Math.max(b.start, this.#position), 0)) / MS,
    }
  }

  #ms(frame: number): number {
    return (frame / this.rate) * 1_000
  }

  /** Plays once the oldest waiting sound is due. Of what was sent to begin with, it leaves out what is overdue: live is later. */
  #tryStart(now: number): void {
    if (!this.delay.known) return
    const due = (this.#ms(now) - this.delay.targetTransitMs) * MS
    this.#blocks = this.#blocks.filter((b) => b.end > this.#position && !(b.backlog && b.end <= due))
    const first = this.#blocks[0]
    if (!first) return
    const from = Math.max(first.start, this.#position, first.backlog ? due : -Infinity)
    if (due < from) return
    if (this.#starvedAt >= 0) {
      this.#counts.underruns++
      this.#counts.underrunMs += this.#ms(now - this.#starvedAt)
      this.#starvedAt = -1
    }
    this.#position = Math.floor(from)
    this.#playing = true
    this.#startFade()
  }

  #startFade(): void {
    this.#from = this.#last.map((value) => value * (this.#tailLeft / FADE))
    this.#fadeIn = FADE
  }

  #starve(now: number): void {
    this.#playing = false
    this.#starvedAt = this.#filledSilent ? -1 : now
    this.#position = this.#filled
  }

  /** Big corrections: over declared silence at once, elsewhere when hopelessly behind. */
  #correct(due: number): void {
    const behind = due - this.#position
    const next = this.#blocks.find((b) => b.end > this.#position)
    const inSilence = !next || next.start > this.#position + 1
    if (inSilence) {
      const limit = next ? next.start : this.#filled
      if (behind > 0) this.#position = Math.floor(Math.min(limit, due))
      else if (next && behind < 0) this.#position = Math.floor(Math.max(due, next.start - JUMP_MS * MS))
      return
    }
    if (behind <= JUMP_MS * MS) return
    this.#counts.skips++
    this.#counts.skippedMs += behind / MS
    this.#position = Math.floor(Math.min(due, this.#filled - 1))
    this.#startFade()
  }

  /** Media samples per output sample, 1 when the delay is right. */
  #speed(due: number): number {
    const behindMs = (due - this.#position) / MS
    const off = Math.abs(behindMs)
    if (off > STEER_MS) this.#steering = true
    else if (off < SETTLED_MS) this.#steering = false
    if (!this.#steering) {
      const fraction = this.#position % 1 // slide back onto whole samples: from there on they are copied as they are
      return fraction === 0 ? 1 : 1.0005
    }
    const quiet = this.#blocks[0]?.quiet ?? false
    const size = quiet ? 0.08 : off > 100 ? 0.02 : off > 40 ? 0.01 : 0.005
    return behindMs > 0 ? 1 + size : 1 - size
  }

  /** Renders up to `length` samples; fewer when media runs out. */
  #render(out: Float32Array[], length: number, speed: number): number {
    const step = speed * (SAMPLE_RATE / this.rate)
    const whole = step === 1 && this.#position % 1 === 0
    const known = this.#filled - this.#position - (whole ? 0 : 3)
    const count = Math.max(0, Math.min(length, Math.floor(known / step)))
    if (count > 0) {
      if (whole) out.forEach((channel, c) => this.#copy(channel.subarray(0, count), this.#position, c))
      else this.#interpolate(out, count, step)
      this.#position += count * step
      if (speed === 1.0005 && this.#position % 1 < count * 0.0005) this.#position = Math.floor(this.#position)
      this.#counts.played += count
      this.#fade(out, count)
      this.#last = out.map((channel) => channel[count - 1]!)
      this.#tailLeft = FADE
    }
    while (this.#blocks[0] && this.#blocks[0].end < this.#position - 4) this.#blocks.shift()
    return count
  }

  /** Four-point Hermite interpolation at a constant step. */
  #interpolate(out: Float32Array[], count: number, step: number): void {
    const base = Math.floor(this.#position) - 1
    const need = Math.ceil(count * step) + 5
    out.forEach((channel, c) => {
      if (this.#scratch[c]!.length < need) this.#scratch[c] = new Float32Array(need + 64)
      const x = this.#scratch[c]!.subarray(0, need)
      this.#copy(x, base, c)
      for (let i = 0; i < count; i++) {
        const at = this.#position + i * step - base
        const k = Math.floor(at)
        const t = at - k
        const [a, b, d, e] = [x[k - 1]!, x[k]!, x[k + 1]!, x[k + 2]!]
        const c1 = (d - a) / 2
        const c2 = a - 2.5 * b + 2 * d - e / 2
        const c3 = (e - a) / 2 + 1.5 * (b - d)
        channel[i] = ((c3 * t + c2) * t + c1) * t + b
      }
    })
  }

  /** Media samples from `from` on, zeros where there are none. */
  #copy(into: Float32Array, from: number, channel: number): void {
    into.fill(0)
    for (const block of this.#blocks) {
      const start = Math.max(block.start, from)
      const end = Math.min(block.end, from + into.length)
      if (end <= start) continue
      const samples = block.channels[Math.min(channel, block.channels.length - 1)]!
      into.set(samples.subarray(start - block.start, end - block.start), start - from)
    }
  }

  #fade(out: Float32Array[], count: number): void {
    for (let i = 0; i < count && this.#fadeIn > 0; i++, this.#fadeIn--) {
      const gain = 1 - this.#fadeIn / FADE
      out.forEach((channel, c) => (channel[i] = channel[i]! * gain + this.#from[c]! * (1 - gain)))
    }
  }

  /** Where sound breaks off it fades from its last value instead of clicking. */
  #fadeTail(out: Float32Array[], from: number): void {
    const length = out[0]!.length
    for (let i = from; i < length; i++) {
      const gain = this.#tailLeft > 0 ? this.#tailLeft-- / FADE : 0
      out.forEach((channel, c) => (channel[i] = this.#last[c]! * gain))
    }
  }

  #fadeOutLast(): void {
    const last = this.#blocks.at(-1)
    if (last && last.end > this.#position + FADE) fade(last.channels, false)
  }

  #bound(): void {
    while (this.#blocks.length > 1 && this.#filled - this.#blocks[0]!.start > BOUND_MS * MS) this.#blocks.shift()
  }
}

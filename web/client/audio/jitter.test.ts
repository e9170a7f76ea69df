import { describe, expect, test } from 'vitest'
import { JitterBuffer } from './jitter'

const FRAME = 960
const QUANTUM = 128

/** A speaker of one steady sine, a network that delays frame i by `late(i)` ms, and a device that pulls in bursts of 10 ms. */
function run(seconds: number, late: (frame: number) => number, options: { silent?: (frame: number) => boolean; drift?: number } = {}) {
  const buffer = new JitterBuffer()
  const step = 1 + (options.drift ?? 0)
  const arrivals = Array.from({ length: seconds * 50 }, (_, i) => ({ i, at: ((i + 1) * FRAME * step) + Math.max(0, late(i)) * 48 }))
  for (let i = 1; i < arrivals.length; i++) arrivals[i]!.at = Math.max(arrivals[i]!.at, arrivals[i - 1]!.at) // as TCP delivers
  const heard: number[] = []
  const delays: number[] = []
  let next = 0
  let now = 0
  for (let burst = 0; burst < seconds * 48_000; burst += 480) {
    for (; next < arrivals.length && arrivals[next]!.at <= burst; next++) {
      const { i } = arrivals[next]!
      if (options.silent?.(i)) buffer.silence((i + 1) * FRAME)
      else buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false }, now)
    }
    for (; now < burst + 480; now += QUANTUM) {
      const out = new Float32Array(QUANTUM)
      buffer.pull([out], now)
      heard.push(...out)
    }
    delays.push(buffer.stats().delayMs)
  }
  return { buffer, stats: buffer.stats(), heard, delays }
}

const sine = (start: number) => Float32Array.from({ length: FRAME }, (_, k) => 0.5 * Math.sin((2 * Math.PI * 300 * (start + k)) / 48_000))

/** The largest step between neighbours: a 300 Hz sine of 0.5 makes 0.02. */
const roughest = (samples: number[], from: number) => {
  let most = 0
  for (let i = from + 1; i < samples.length; i++) most = Math.max(most, Math.abs(samples[i]! - samples[i - 1]!))
  return most
}

describe('jitter buffer', () => {
  test('a clean network: close to the fastest arrival, nothing lost, not a click', () => {
    const { stats, heard } = run(10, () => 0)
    expect(stats.underruns).toBe(0)
    expect(stats.late).toBe(0)
    expect(stats.targetMs).toBeLessThan(40)
    expect(Math.abs(stats.delayMs - stats.targetMs)).toBeLessThan(10)
    expect(roughest(heard, 0)).toBeLessThan(0.03)
  })

  test('jitter of 0–80 ms: after a short while it is all in time', () => {
    const random = lcg(1)
    const { stats, heard } = run(30, () => random() * 80)
    expect(stats.underruns).toBeLessThanOrEqual(4)
    expect(stats.targetMs).toBeGreaterThan(60)
    expect(stats.targetMs).toBeLessThan(110)
    expect(roughest(heard, 15 * 48_000)).toBeLessThan(0.03)
  })

  test('stalls of 250 ms every 2.5 s: learnt, then no dropouts', () => {
    const { heard } = run(30, (i) => (i % 125 < 13 ? (13 - (i % 125)) * 20 : 0))
    const silent = heard.slice(20 * 48_000).reduce((most, _, i, all) => Math.max(most, gap(all, i)), 0)
    expect(silent).toBeLessThan(200) // samples without sound
  })

  test('one stall of a second: the sound comes back near the live edge, old sound is jumped over', () => {
    const { stats, delays } = run(20, (i) => (i >= 250 && i < 300 ? (300 - i) * 20 : 0))
    expect(stats.underruns).toBe(1)
    expect(stats.skips).toBe(1)
    expect(delays.at(-1)).toBeLessThan(330)
  })

  test('declared silence is no underrun, and speech after it starts in time', () => {
    const { stats } = run(10, () => 0, { silent: (i) => i % 100 >= 50 })
    expect(stats.underruns).toBe(0)
    expect(stats.late).toBe(0)
  })

  test.each([300e-6, -300e-6, 3e-3, -3e-3])('a clock that drifts by %d is followed', (drift) => {
    const { stats, delays, heard } = run(40, () => 0, { drift })
    expect(stats.underruns).toBeLessThanOrEqual(1)
    expect(delays.slice(2_000).every((ms) => ms < 80)).toBe(true)
    expect(roughest(heard, 5 * 48_000)).toBeLessThan(0.05)
  })

  test('what a live listener gets to begin with: sound starts with the first live frame, at the live delay', () => {
    const buffer = new JitterBuffer()
    const heard: number[] = []
    let now = 0
    const pullTo = (end: number) => {
      for (; now < end; now += QUANTUM) {
        const out = new Float32Array(QUANTUM)
        buffer.pull([out], now)
        heard.push(...out)
      }
    }
    for (let i = 0; i < 6; i++) buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false, backlog: true }, now)
    pullTo(700)
    for (let i = 6; i < 100; i++) {
      buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false }, now)
      pullTo(768 + (i - 5) * FRAME)
    }
    const begins = heard.findIndex((sample) => Math.abs(sample) > 0.01)
    expect(begins).toBeLessThan(700 + 3 * QUANTUM)
    expect(buffer.stats().delayMs).toBeLessThan(45)
    expect(buffer.stats()).toMatchObject({ underruns: 0, late: 0, skips: 0 })
    expect(roughest(heard, 0)).toBeLessThan(0.03)
  })

  test('the burst of somebody who says nothing more is not heard when they speak again', () => {
    const buffer = new JitterBuffer()
    for (let i = 0; i < 6; i++) buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false, backlog: true }, 0)
    const later = 480_000
    for (let i = 506; i < 516; i++) buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false }, later + (i - 506) * FRAME)
    const out = new Float32Array(QUANTUM)
    for (let now = later; now < later + 10 * FRAME; now += QUANTUM) buffer.pull([out], now)
    expect(buffer.stats().played).toBeLessThan(10 * FRAME)
    expect(buffer.stats().delayMs).toBeLessThan(60)
  })

  test('after a pause of the source nothing is skipped: it goes on where it was', () => {
    const buffer = new JitterBuffer()
    let now = 0
    const pullTo = (end: number) => {
      for (; now < end; now += QUANTUM) buffer.pull([new Float32Array(QUANTUM)], now)
    }
    const speak = (from: number, to: number, begins: number) => {
      for (let i = from; i < to; i++) {
        pullTo(begins + (i - from) * FRAME)
        buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false }, now)
      }
    }
    speak(0, 50, 0)
    pullTo(150_000)
    buffer.paused()
    speak(50, 100, 150_000)
    expect(buffer.stats()).toMatchObject({ skips: 0, late: 0 })
    expect(buffer.stats().delayMs).toBeLessThan(60)
    expect(buffer.stats().played).toBeGreaterThan(96 * FRAME)
  })

  test('in the past it plays with more in hand: what would be late live is not heard', () => {
    const buffer = new JitterBuffer()
    buffer.setPast(true)
    let now = 0
    for (let i = 0; i < 250; i++) {
      const arrives = i * FRAME + (i % 50 === 49 ? 4_800 : 0) // now and then 100 ms late
      for (; now < arrives; now += QUANTUM) buffer.pull([new Float32Array(QUANTUM)], now)
      buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false }, now)
    }
    expect(buffer.stats()).toMatchObject({ underruns: 0, late: 0, skips: 0 })
    buffer.setPast(false)
    expect(buffer.stats().targetMs).toBeLessThan(130)
  })

  test('two output channels from one', () => {
    const buffer = new JitterBuffer()
    for (let i = 0; i < 5; i++) buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false }, (i + 1) * FRAME)
    const out = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)]
    for (let now = 5 * FRAME; now < 8 * FRAME; now += QUANTUM) buffer.pull(out, now)
    expect(out[0]).toEqual(out[1])
    expect(Math.max(...out[0]!)).toBeGreaterThan(0.1)
  })

  test('a device at another rate gets its own number of samples', () => {
    const buffer = new JitterBuffer(44_100)
    for (let i = 0; i < 50; i++) buffer.push({ start: i * FRAME, channels: [sine(i * FRAME)], concealed: false }, (i + 1) * 882)
    const out = new Float32Array(QUANTUM)
    for (let now = 5 * 882; now < 40 * 882; now += QUANTUM) buffer.pull([out], now)
    expect(buffer.stats().underruns).toBe(0)
    expect(Math.abs(buffer.stats().delayMs)).toBeLessThan(1_000)
  })
})

/** Length of the run of zeros that ends at i. */
let zeros = 0
function gap(samples: number[], i: number): number {
  zeros = Math.abs(samples[i]!) < 1e-6 ? zeros + 1 : 0
  return zeros
}

function lcg(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32
}

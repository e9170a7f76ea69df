import { describe, expect, test } from 'vitest'
import { Stretch, type Stretched } from './stretch'

const FRAME = 960

const tone = (start: number, hz: number) => Float32Array.from({ length: FRAME }, (_, k) => 0.5 * Math.sin((2 * Math.PI * hz * (start + k)) / 48_000))

function collect(): { stretch: Stretch; out: Stretched[]; sound: () => Float32Array } {
  const out: Stretched[] = []
  // As a port takes them: what is given away is gone.
  const taken = (block: Stretched) => structuredClone(block, { transfer: block.channels.map((channel) => channel.buffer as ArrayBuffer) })
  const stretch = new Stretch((block) => out.push(taken(block)))
  const sound = () => {
    const all = new Float32Array(out.reduce((sum, b) => sum + b.channels[0]!.length, 0))
    let at = 0
    for (const { channels } of out) {
      all.set(channels[0]!, at)
      at += channels[0]!.length
    }
    return all
  }
  return { stretch, out, sound }
}

/** Frequency by counting the crossings of zero. */
function pitch(samples: Float32Array): number {
  let crossings = 0
  for (let i = 1; i < samples.length; i++) if (samples[i - 1]! < 0 && samples[i]! >= 0) crossings++
  return (crossings * 48_000) / samples.length
}

const roughest = (samples: Float32Array) => samples.reduce((most, x, i) => (i === 0 ? 0 : Math.max(most, Math.abs(x - samples[i - 1]!))), 0)

/** Blocks follow each other without a hole and without overlap. */
function expectSeamless(out: Stretched[]): void {
  let next = out[0]!.start
  for (const { start, channels } of out) {
    expect(start).toBe(next)
    next += channels[0]!.length
  }
}

describe('stretch', () => {
  test('at rate 1 everything passes as it is', () => {
    const { stretch, out } = collect()
    for (let i = 0; i < 5; i++) stretch.push(7 + i * FRAME, [tone(i * FRAME, 300)])
    expect(out.map((b) => b.start)).toEqual([0, 1, 2, 3, 4].map((i) => 7 + i * FRAME))
    expect(out[3]!.channels[0]).toEqual(tone(3 * FRAME, 300))
    expect(stretch.silence(7 + 50 * FRAME)).toBe(7 + 50 * FRAME)
  })

  test.each([1.25, 1.5, 2, 4])('at rate %d it is so much shorter, as high as before, without a click', (rate) => {
    const { stretch, out, sound } = collect()
    stretch.rate = rate
    for (let i = 0; i < 250; i++) stretch.push(i * FRAME, [tone(i * FRAME, 300)])
    expectSeamless(out)
    const heard = sound()
    expect(heard.length / ((250 * FRAME) / rate)).toBeGreaterThan(0.97)
    expect(heard.length / ((250 * FRAME) / rate)).toBeLessThan(1.01)
    expect(Math.abs(pitch(heard) - 300)).toBeLessThan(6)
    expect(roughest(heard)).toBeLessThan(0.06)
  })

  test('the rate changes in the midst of sound, without a hole, a double or a click', () => {
    const { stretch, out, sound } = collect()
    for (const [i, rate] of [1, 1.25, 1, 2, 1].entries()) {
      stretch.rate = rate
      for (let k = i * 40; k < (i + 1) * 40; k++) stretch.push(k * FRAME, [tone(k * FRAME, 300)])
    }
    expectSeamless(out)
    const heard = sound()
    const wanted = 40 * FRAME * (1 + 1 / 1.25 + 1 + 1 / 2 + 1)
    expect(Math.abs(heard.length - wanted)).toBeLessThan(0.05 * 48_000)
    expect(roughest(heard)).toBeLessThan(0.06)
  })

  test('silence and holes take their time at the rate', () => {
    const { stretch, out } = collect()
    stretch.rate = 2
    for (let i = 0; i < 10; i++) stretch.push(i * FRAME, [tone(i * FRAME, 300)])
    expect(stretch.silence(110 * FRAME)).toBe(55 * FRAME)
    for (let i = 110; i < 120; i++) stretch.push(i * FRAME, [tone(i * FRAME, 300)])
    expect(out.find((b) => b.start >= 55 * FRAME)!.start).toBe(55 * FRAME)
    for (let i = 170; i < 180; i++) stretch.push(i * FRAME, [tone(i * FRAME, 300)])
    expect(out.some((b) => b.start === 85 * FRAME)).toBe(true)
    expect(out.every((b) => b.channels[0]!.every(Number.isFinite))).toBe(true)
  })

  test('it holds no more than it needs, at any rate', () => {
    const { stretch, out, sound } = collect()
    stretch.rate = 16
    for (let i = 0; i < 1_000; i++) stretch.push(i * FRAME, [tone(i * FRAME, 300)])
    expectSeamless(out)
    expect(sound().length / ((1_000 * FRAME) / 16)).toBeGreaterThan(0.97)
    stretch.reset()
    stretch.rate = 1
    stretch.push(5, [tone(0, 300)])
    expect(out.at(-1)!.start).toBe(5)
  })
})

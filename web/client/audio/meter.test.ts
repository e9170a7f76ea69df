import { expect, test } from 'vitest'
import { SILENT_DB, VoiceDetector, measure } from './meter'

test('levels are dBFS', () => {
  const sine = Float32Array.from({ length: 960 }, (_, i) => Math.sin((2 * Math.PI * i) / 48))
  expect(measure([sine]).rms).toBeCloseTo(-3.01, 1)
  expect(measure([sine]).peak).toBeCloseTo(0, 2)
  expect(measure([new Float32Array(960)])).toEqual({ rms: SILENT_DB, peak: SILENT_DB })
})

test('speech over a steady noise is heard with a hangover; noise and a click are not', () => {
  const detector = new VoiceDetector(20)
  const run = (db: number, frames: number) => Array.from({ length: frames }, () => detector.hear(db)).filter(Boolean).length
  run(-55, 250)
  expect(run(-55, 50)).toBe(0)
  expect(run(-20, 1)).toBe(0) // a click of one frame
  run(-55, 20)
  expect(run(-25, 50)).toBe(49)
  expect(run(-55, 50)).toBe(14) // 300 ms after the last loud frame
})

import { expect, test } from 'vitest'
import { Framer, mix } from './framer'
import { Resampler } from './resampler'

const sine = (hz: number, rate: number, seconds: number) =>
  Float32Array.from({ length: Math.round(rate * seconds) }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate))

/** Signal to noise in dB against the sine of that frequency that fits best. */
function snr(samples: Float32Array, hz: number, rate: number): number {
  let [ss, cc, sc, xs, xc, xx] = [0, 0, 0, 0, 0, 0]
  samples.forEach((x, i) => {
    const [s, c] = [Math.sin((2 * Math.PI * hz * i) / rate), Math.cos((2 * Math.PI * hz * i) / rate)]
    ss += s * s
    cc += c * c
    sc += s * c
    xs += x * s
    xc += x * c
    xx += x * x
  })
  const det = ss * cc - sc * sc
  const [a, b] = [(xs * cc - xc * sc) / det, (xc * ss - xs * sc) / det]
  const signal = a * xs + b * xc
  return 10 * Math.log10(signal / Math.max(1e-20, xx - signal))
}

test.each([
  [44_100, 1_000, 90],
  [44_100, 15_000, 70],
  [16_000, 1_000, 90],
  [96_000, 10_000, 90],
  [8_000, 440, 90],
])('%i Hz to 48 kHz keeps a sine of %i Hz clean', (rate, hz, least) => {
  const out = new Resampler(rate, 48_000).push(sine(hz, rate, 1))
  expect(Math.abs(out.length - 48_000)).toBeLessThan(500)
  expect(snr(out.subarray(2_000, 44_000), hz, 48_000)).toBeGreaterThan(least)
})

test('what lies above the new Nyquist frequency is gone', () => {
  const out = new Resampler(96_000, 48_000).push(sine(30_000, 96_000, 0.5))
  expect(Math.max(...out.subarray(1_000, 20_000))).toBeLessThan(1e-4)
})

test('the same samples come out however the input is cut, and none is lost over time', () => {
  const input = sine(997, 44_100, 3)
  const whole = new Resampler(44_100, 48_000).push(input)
  const pieces = new Resampler(44_100, 48_000)
  const parts: number[] = []
  for (let at = 0, size = 1; at < input.length; at += size, size = (size * 7 + 3) % 997) parts.push(...pieces.push(input.subarray(at, at + size)))
  expect(Math.abs(parts.length - whole.length)).toBeLessThanOrEqual(2)
  const worst = parts.reduce((most, sample, i) => Math.max(most, Math.abs(sample - (whole[i] ?? sample))), 0)
  expect(worst).toBeLessThan(1e-5)
})

test('mixing is explicit', () => {
  const [left, right] = [Float32Array.of(1, 0.5), Float32Array.of(0, -0.5)]
  expect(mix([left, right], 1)).toEqual([Float32Array.of(0.5, 0)])
  expect(mix([left], 2)).toEqual([left, left])
  expect(mix([left, right, left, right], 2)).toEqual([left, right])
})

test('frames count samples of their own, and time that passed without samples', () => {
  const frames: [number, number][] = []
  const framer = new Framer(1, 960, ({ index, channels }) => frames.push([index, channels[0]!.filter((x) => x === 1).length]))
  framer.push([new Float32Array(1_000).fill(1)], 48_000)
  framer.skip(10)
  framer.push([new Float32Array(960).fill(1)], 48_000)
  expect(frames).toEqual([[0, 960], [1, 40], [12, 960]])
})

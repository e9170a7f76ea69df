import { expect, test } from 'vitest'
import { backoffMs } from './backoff'

test('comes back within 250 ms at first, then between 0.25 s and a bound that doubles to 10 s', () => {
  const bounds = [0, 1, 2, 3, 4, 5, 6, 7, 20].map((attempt) => [backoffMs(attempt, 0), backoffMs(attempt, 0.999_999)].map(Math.round))
  expect(bounds).toEqual([
    [0, 250],
    [250, 500],
    [250, 1_000],
    [250, 2_000],
    [250, 4_000],
    [250, 8_000],
    [250, 10_000],
    [250, 10_000],
    [250, 10_000],
  ])
})

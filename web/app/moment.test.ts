import { expect, test } from 'vitest'
import { clockTime, long, scaleFor, scalesFor, short } from './src/moment'

test.each([
  [5, ['All 20']],
  [240, ['All 240']],
  [300, ['All 300']],
  [301, ['5 min 300', 'All 301']],
  [3_000.4, ['5 min 300', 'All 3001']],
  [90_000, ['5 min 300', '1 hour 3600', 'All 90000']],
])('a window of %d s has the scales %j', (window, scales) => {
  expect(scalesFor(window).map((s) => `${s.name} ${s.seconds}`)).toEqual(scales)
})

test('the scale reaches the place: the picked one where it can, else the smallest', () => {
  expect(scaleFor(90_000, 0).name).toBe('5 min')
  expect(scaleFor(90_000, 301).name).toBe('1 hour')
  expect(scaleFor(90_000, 5_000).name).toBe('All')
  expect(scaleFor(90_000, 10, 'All').name).toBe('All')
  expect(scaleFor(90_000, 4_000, '5 min').name).toBe('All')
  expect(scaleFor(100, 0, '1 hour').name).toBe('All')
  expect(scaleFor(100, 5_000).name).toBe('All')
})

test('durations, short and as they are said', () => {
  expect([0, 9.6, 130, 3_730].map(short)).toEqual(['0:00', '0:10', '2:10', '1:02:10'])
  expect([0, 1, 130, 3_730, 7_260].map(long)).toEqual(['0 seconds', '1 second', '2 minutes 10 seconds', '1 hour 2 minutes 10 seconds', '2 hours 1 minute'])
})

test('a clock time has its day when that is another', () => {
  const now = new Date(2026, 10, 20, 18)
  expect(clockTime(new Date(2026, 10, 20, 12, 3, 10), now)).toBe('12:03:10')
  expect(clockTime(new Date(2026, 10, 19, 12, 3, 10), now)).toMatch(/19.*12:03:10/)
})

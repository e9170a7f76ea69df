import { describe, expect, test } from 'vitest'
import { checkRate, fromField, placeOf } from './from'

const NOW = Date.UTC(2026, 10, 20, 12)

describe('from', () => {
  test.each([
    ['start', 'start'],
    [30, '-30.000s'],
    [0, '-0.000s'],
    [12.3456, '-12.346s'],
    [new Date(NOW), '2026-11-20T12:00:00.000Z'],
  ] as const)('%s is %s', (from, field) => expect(fromField(from, NOW)).toBe(field))

  // The edge clamps to its window and says so; what it gets is always a time that it can read.
  describe('TestRow52: seek to negative, future, before retention, 2^63', () => {
    test.each([
      [-5, '2026-11-20T12:00:05.000Z'],
      [2 ** 63, '-1000000000.000s'],
      [1e300, '-1000000000.000s'],
      [-(2 ** 63), '9999-12-31T00:00:00.000Z'],
      [new Date(8.64e15), '9999-12-31T00:00:00.000Z'],
      [new Date(-8.64e15), '1970-01-01T00:00:00.000Z'],
    ])('%s', (from, field) => expect(fromField(from, NOW)).toBe(field))
    test.each([NaN, Infinity, -Infinity, new Date(NaN), '5 minutes', undefined, null, {}])('%s is no time', (from) => {
      expect(() => fromField(from as never, NOW)).toThrow(expect.objectContaining({ code: 'bad_message' }))
    })
  })

  test('a place is a moment and a rate; what is none is no place', () => {
    expect(placeOf(30, undefined, NOW)).toEqual({ from: '-30.000s', rate: 1 })
    expect(placeOf('start', 2, NOW)).toEqual({ from: 'start', rate: 2 })
    expect(() => placeOf(NaN, 1, NOW)).toThrow(expect.objectContaining({ code: 'bad_message' }))
    expect(() => placeOf(30, 17, NOW)).toThrow(expect.objectContaining({ code: 'bad_message' }))
  })

  test('a rate is 1 to 16', () => {
    expect([1, 1.5, 16].map(checkRate)).toEqual([1, 1.5, 16])
    for (const rate of [0, 0.5, 17, NaN, Infinity, -1]) expect(() => checkRate(rate)).toThrow(expect.objectContaining({ code: 'bad_message' }))
  })
})

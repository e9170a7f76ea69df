import { describe, expect, test } from 'vitest'
import type { Clock } from '../wire/messages'
import { Clocks } from './clocks'
import { pack } from './fixtures'
import { Timeline } from './timeline'

const AT = Date.UTC(2026, 10, 20, 12)
/** A sample with this timestamp was captured so many ms after AT. */
const clock = (timestamp: number, ms: number): Clock => ({ timestamp: timestamp >>> 0, unix_us: (AT + ms) * 1_000 })

function timeline(tracks: Record<number, Clock | null>) {
  const clocks = new Clocks()
  clocks.know(Object.entries(tracks).map(([handle, of]) => ({ handle: Number(handle), epoch: 0, clock: of })))
  const line = new Timeline(clocks)
  line.start(AT)
  return { line, clocks, place: (handle: number, seq: number) => line.place(pack(handle, seq)) - AT }
}

describe('timeline', () => {
  test('by the order alone a track that begins later is placed to a tenth of a second', () => {
    const { place } = timeline({ 1: clock(0, -200), 2: null })
    place(1, 0)
    place(1, 10)
    expect(place(2, 0)).toBe(300)
  })

  test.each([0, 60, 130, 199, -400])('with clocks tracks lie beside each other as they were spoken: %i ms apart', (apart) => {
    const { place } = timeline({ 1: clock(0, -200), 2: clock(5_000 * 960, -200 + apart) })
    expect(place(1, 0)).toBe(0)
    expect(place(1, 10)).toBe(200)
    expect(place(2, 5_000)).toBeCloseTo(apart, 6)
    expect(place(2, 5_010)).toBeCloseTo(apart + 200, 6)
  })

  test('after a seek as well, from wherever it begins', () => {
    const { line, place } = timeline({ 1: clock(0, -200), 2: clock(0, -140) })
    place(1, 0)
    line.start(AT + 60_000)
    const first = place(1, 3_000)
    expect(place(2, 3_000) - first).toBeCloseTo(60, 6)
  })

  test('timestamps that came round since the clock was told', () => {
    const day = 2 ** 32 / 48
    const { place } = timeline({ 1: clock(0, -200), 2: clock(960 * 2, -day - 100) })
    place(1, 0)
    expect(place(2, 2)).toBeCloseTo(100, 3)
  })

  test.each([-3_600_000, -5_000, 5_000, 3_600_000])('a clock that is %i ms wrong is not believed, whichever track has it', (wrong) => {
    const late = timeline({ 1: clock(0, -200), 2: clock(0, wrong) })
    late.place(1, 0)
    expect(late.place(2, 0)).toBe(100)
    const early = timeline({ 1: clock(0, wrong), 2: clock(0, -200), 3: clock(0, -150) })
    early.place(1, 0)
    const second = early.place(2, 0)
    expect(second).toBe(100)
    expect(early.place(3, 0) - second).toBeCloseTo(50, 6)
  })

  test('another epoch counts anew: its clock is not the one before', () => {
    const { line, place } = timeline({ 1: clock(0, -200), 2: clock(0, -150) })
    place(1, 0)
    expect(line.place(pack(2, 0, 10, 1)) - AT).toBe(100)
  })

  test('the clocks that are remembered are bounded, the newest stay', () => {
    const clocks = new Clocks()
    clocks.know(Array.from({ length: 3_000 }, (_, handle) => ({ handle, epoch: 0, clock: clock(0, handle) })))
    const known = Array.from({ length: 3_000 }, (_, handle) => clocks.captured(pack(handle, 0), AT) !== undefined)
    expect(known.filter(Boolean).length).toBe(1_024)
    expect(known.at(-1)).toBe(true)
  })
})

import { describe, expect, test } from 'vitest'
import { pack, silence } from './fixtures'
import { BOUND_BYTES, BOUND_MS, Pacer } from './pacer'

const AT = Date.UTC(2026, 10, 20, 12)

function run() {
  const heard: { handle: number; seq: number; atMs: number }[] = []
  const state = { now: 5_000, paused: 0 }
  const pacer = new Pacer({
    release: (packet) => {
      expect(packet.backlog).toBe(false)
      heard.push({ handle: packet.handle, seq: packet.seq, atMs: state.now })
    },
    paused: () => state.paused++,
  })
  pacer.start(AT, 1)
  const pass = (ms: number) => {
    for (const ends = state.now + ms; state.now < ends; ) {
      state.now += 20
      pacer.tick(state.now)
    }
  }
  return { pacer, heard, state, pass, of: (handle: number) => heard.filter((h) => h.handle === handle).map((h) => h.seq) }
}

describe('pacer', () => {
  test('two seconds at once are heard in two seconds, in order, from the first tick on', () => {
    const { pacer, heard, pass } = run()
    for (let i = 0; i < 10; i++) pacer.push(pack(1, 100 + i * 10))
    pass(20)
    expect(heard.length).toBe(1)
    pass(980)
    expect(heard.length).toBeGreaterThanOrEqual(49)
    expect(heard.length).toBeLessThanOrEqual(51)
    expect(Math.abs(pacer.at - AT - 980)).toBeLessThan(41)
    pass(1_000)
    expect(heard.map((h) => h.seq)).toEqual(Array.from({ length: 100 }, (_, i) => 100 + i))
  })

  test('a frame that comes again is not heard again, wherever packs begin', () => {
    const { pacer, pass, of } = run()
    pacer.push(pack(1, 0))
    pacer.push(pack(1, 0))
    pacer.push(pack(1, 5))
    pacer.push(pack(1, 15, 10))
    pass(600)
    expect(of(1)).toEqual(Array.from({ length: 25 }, (_, i) => i))
  })

  test('tracks stay beside each other, also one that begins later', () => {
    const { pacer, heard, pass } = run()
    for (let i = 0; i < 10; i++) {
      pacer.push(pack(1, i * 10))
      if (i >= 5) pacer.push(pack(2, 4_000 + (i - 5) * 10))
    }
    pass(2_200)
    const first = (handle: number, seq: number) => heard.find((h) => h.handle === handle && h.seq === seq)!.atMs
    expect(Math.abs(first(2, 4_000) - first(1, 55))).toBeLessThanOrEqual(40)
    expect(Math.abs(first(2, 4_040) - first(1, 95))).toBeLessThanOrEqual(40)
  })

  test('dry: it waits, says so, and goes on where it was once there is enough', () => {
    const { pacer, heard, state, pass } = run()
    for (let i = 0; i < 5; i++) pacer.push(pack(1, i * 10))
    pass(1_040)
    expect(pacer.dry).toBe(true)
    const stood = pacer.at
    pass(3_000)
    expect(pacer.at).toBe(stood)
    pacer.push(pack(1, 50, 5))
    pass(100)
    expect(heard.length).toBe(50) // 100 ms in hand are too few
    pacer.push(pack(1, 55, 10))
    pass(40)
    expect(pacer.dry).toBe(false)
    expect(heard.length).toBeGreaterThan(50)
    expect(state.paused).toBe(2)
  })

  test('declared silence takes its time, and so does time in which nobody spoke, by the edge’s word', () => {
    const { pacer, heard, pass } = run()
    pacer.push(pack(1, 0))
    pacer.push(silence(1, 10, 50))
    pacer.push(pack(1, 60))
    pass(1_160)
    expect(heard.map((h) => h.seq)).not.toContain(60)
    pass(100)
    expect(heard.map((h) => h.seq)).toContain(60)
    pass(200)
    pacer.told(AT + 10_000)
    pass(1_000)
    expect(pacer.dry).toBe(false)
    expect(Math.abs(pacer.at - AT - 2_400)).toBeLessThan(100)
  })

  test('a track that stood still for an hour goes on beside the others, not in a flood', () => {
    const { pacer, pass, of } = run()
    for (let i = 0; i < 10; i++) pacer.push(pack(1, i * 10))
    pacer.push(pack(2, 0))
    pass(1_000)
    pacer.told(AT + 3_600_000 - 2_000) // an hour in which nothing was said would be too much to hold
    pacer.push(pack(2, 10))
    pass(20)
    expect(of(2).length).toBeLessThanOrEqual(12)
  })

  test('a rate above 1 lets go faster', () => {
    const { pacer, heard, pass } = run()
    pacer.start(AT, 4)
    for (let i = 0; i < 40; i++) pacer.push(pack(1, i * 10))
    pass(1_000)
    expect(Math.abs(heard.length - 200)).toBeLessThan(6)
  })

  test('after a seek nothing of before is heard', () => {
    const { pacer, heard, pass } = run()
    for (let i = 0; i < 10; i++) pacer.push(pack(1, 1_000 + i * 10))
    pass(100)
    heard.length = 0
    pacer.start(AT - 60_000, 1)
    pass(100)
    for (let i = 0; i < 10; i++) pacer.push(pack(1, i * 10))
    pass(500)
    expect(heard.length).toBeGreaterThan(20)
    expect(Math.max(...heard.map((h) => h.seq))).toBeLessThan(1_000)
  })

  test('bounded in time and in bytes: beyond that the oldest is left out', () => {
    const { pacer, pass, of } = run()
    for (let i = 0; i < 500; i++) pacer.push(pack(1, i * 10)) // 100 s
    expect(pacer.aheadMs).toBeLessThanOrEqual(BOUND_MS)
    expect(pacer.skippedMs).toBeGreaterThan(75_000)
    pass(1_000)
    expect(of(1)[0]).toBeGreaterThan(3_900)
    expect(of(1)).toEqual([...of(1)].sort((a, b) => a - b))
    for (let i = 0; i < 40; i++) for (let h = 2; h < 66; h++) pacer.push(pack(h, i * 10, 10, 0, 1_275))
    expect(pacer.heldBytes).toBeLessThanOrEqual(BOUND_BYTES)
  })

  test('flush gives all that is left', () => {
    const { pacer, heard } = run()
    for (let i = 0; i < 3; i++) pacer.push(pack(1, i * 10))
    pacer.flush()
    expect(heard.length).toBe(30)
    expect(pacer.heldBytes).toBe(0)
    expect(pacer.aheadMs).toBe(0)
  })
})

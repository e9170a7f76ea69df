import { expect, test } from 'vitest'
import type { Packet } from '../wire/packet'
import { FrameOrder, type Ordered } from './order'

const header = (seq: number, epoch = 0) => ({ handle: 1, epoch, seq, timestamp: (seq * 960) >>> 0, voice: true, backlog: false })
const audio = (seq: number, count = 1, epoch = 0): Packet => ({
  ...header(seq, epoch),
  kind: 'audio',
  frames: Array.from({ length: count }, (_, i) => Uint8Array.of(0xf8, (seq + i) & 0xff)),
})
const silence = (seq: number, span: number): Packet => ({ ...header(seq), kind: 'silence', span, duration: 8 })

function collect(): { order: FrameOrder; out: string[] } {
  const out: string[] = []
  const say = (item: Ordered) => {
    if (item.kind === 'frame') return `f${item.position / 960}`
    if (item.kind === 'silence') return `s<${item.end / 960}`
    return item.kind === 'lost' ? `lost${item.position / 960}x${item.frames}` : 'epoch'
  }
  return { order: new FrameOrder((item) => out.push(say(item))), out }
}

test('gives each frame once, in order', () => {
  const { order, out } = collect()
  order.push(audio(10), 0)
  order.push(audio(12), 5)
  order.push(audio(11, 3), 10)
  order.push(audio(10), 15)
  expect(out).toEqual(['f10', 'f11', 'f12', 'f13'])
  expect(order.duplicates).toBe(2)
  expect(order.holding).toBe(false)
})

test('waits 40 ms for a missing frame, or for three later ones, then passes over it', () => {
  const { order, out } = collect()
  order.push(audio(0), 0)
  order.push(audio(2), 20)
  order.expire(59)
  expect(out).toEqual(['f0'])
  order.expire(60)
  expect(out).toEqual(['f0', 'lost1x1', 'f2'])
  order.push(audio(1), 61)
  order.push(audio(5, 3), 80)
  expect(out.slice(3)).toEqual(['lost3x2', 'f5', 'f6', 'f7'])
  expect(order.lost).toBe(3)
})

test('declared silence covers its seqs, also where it overlaps frames', () => {
  const { order, out } = collect()
  order.push(audio(0), 0)
  order.push(silence(1, 20), 10)
  order.push(silence(1, 20), 11)
  order.push(audio(20, 2), 20)
  expect(out).toEqual(['f0', 's<21', 'f21'])
})

test('a new epoch starts anew; frames of the old one are too late', () => {
  const { order, out } = collect()
  order.push(audio(500), 0)
  order.push(audio(0, 1, 1), 10)
  order.push(audio(501), 20)
  expect(out).toEqual(['f500', 'epoch', 'f0'])
})

test('timestamps go on through 2^32', () => {
  const out: number[] = []
  const order = new FrameOrder((item) => item.kind === 'frame' && out.push(item.position))
  const seq = Math.floor(2 ** 32 / 960)
  for (let i = 0; i < 3; i++) order.push(audio(seq + i), i)
  expect(out.map((position) => position - out[0]!)).toEqual([0, 960, 1_920])
})

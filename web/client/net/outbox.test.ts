import { describe, expect, test } from 'vitest'
import { type Packet, decodeMessage, spanOf } from '../wire/packet'
import { type Item, Outbox } from './outbox'

const shape = { handle: 7, epoch: 2, frameMs: 20 }
const frame = (seq: number): Item => ({ seq, timestamp: seq * 960, voice: false, span: 1, frame: Uint8Array.of(0xf8, seq & 0xff) })
const silence = (seq: number, span: number): Item => ({ seq, timestamp: seq * 960, voice: false, span })
const ranges = (packets: Packet[]) => packets.map((p) => [p.kind[0] + (p.backlog ? 'b' : ''), p.seq, p.seq + spanOf(p) - 1])

function drain(outbox: Outbox): Packet[] {
  const packets: Packet[] = []
  for (let message = outbox.backlog(); message; message = outbox.backlog()) {
    expect(message.length).toBeLessThanOrEqual(8_192)
    packets.push(...decodeMessage(message, (error) => expect.unreachable(String(error))))
  }
  return packets
}

describe('outbox', () => {
  test('sends a new frame at once, alone and not as backlog', () => {
    const outbox = new Outbox(shape)
    const [packet] = decodeMessage(outbox.push(frame(0), true)!)
    expect(packet).toMatchObject({ kind: 'audio', handle: 7, epoch: 2, seq: 0, timestamp: 0, backlog: false })
    expect(drain(outbox)).toEqual([])
  })

  test('keeps what no socket took and sends it as backlog, ten frames to a packet', () => {
    const outbox = new Outbox(shape)
    for (let seq = 0; seq < 12; seq++) expect(outbox.push(frame(seq), false)).toBeUndefined()
    outbox.push(silence(12, 20), false)
    outbox.push(frame(32), true)
    expect(ranges(drain(outbox))).toEqual([['ab', 0, 9], ['ab', 10, 11], ['sb', 12, 31]])
    expect(outbox.resent).toBe(32)
  })

  test('a new socket gets all that is not acked again', () => {
    const outbox = new Outbox(shape)
    for (let seq = 0; seq < 5; seq++) outbox.push(frame(seq), true)
    outbox.ack(1)
    outbox.resend()
    expect(ranges(drain(outbox))).toEqual([['ab', 2, 4]])
    outbox.resend(4)
    expect(ranges(drain(outbox))).toEqual([['ab', 4, 4]])
    expect(outbox.acked).toBe(1)
  })

  test('a silence is forgotten only when its last seq is acked', () => {
    const outbox = new Outbox(shape)
    outbox.push(silence(0, 10), true)
    outbox.ack(8)
    outbox.resend()
    expect(ranges(drain(outbox))).toEqual([['sb', 0, 9]])
    outbox.ack(9)
    outbox.resend()
    expect(drain(outbox)).toEqual([])
  })

  test('backlog waits for acks beyond 5 s of frames', () => {
    const outbox = new Outbox(shape)
    for (let seq = 0; seq < 600; seq++) outbox.push(frame(seq), false)
    expect(drain(outbox).reduce((sum, p) => sum + spanOf(p), 0)).toBe(250)
    expect(outbox.backlog()).toBeUndefined()
    outbox.ack(99)
    expect(ranges(drain(outbox))).toEqual(Array.from({ length: 10 }, (_, i) => ['ab', 250 + i * 10, 259 + i * 10]))
  })

  test('beyond its bound the oldest are dropped and declared as one gap', () => {
    const outbox = new Outbox(shape, 1_000)
    for (let seq = 0; seq < 80; seq++) outbox.push(frame(seq), false)
    expect(outbox.gap).toEqual({ from: 0, to: 29 })
    expect(outbox.unackedMs).toBe(1_000)
    outbox.push(frame(80), false)
    outbox.declared({ from: 0, to: 29 })
    expect(outbox.gap).toEqual({ from: 30, to: 30 })
    outbox.ack(40)
    expect(outbox.gap).toBeUndefined()
  })

  test('after a long absence frames go as backlog until the edge has caught up', () => {
    const outbox = new Outbox(shape)
    outbox.push(frame(0), true)
    for (let seq = 1; seq < 1_500; seq++) outbox.push(frame(seq), false)
    expect(outbox.push(frame(1_500), true)).toBeUndefined()
    drain(outbox)
    outbox.ack(250)
    drain(outbox)
    outbox.ack(500)
    expect(outbox.push(frame(1_501), true)).toBeDefined()
  })

  test('what was dropped is one gap, however long acks stay away, and an ack cuts it', () => {
    const outbox = new Outbox(shape, 1_000)
    for (let seq = 0; seq < 6_000; seq++) outbox.push(frame(seq), true)
    expect(outbox.gap).toEqual({ from: 0, to: 5_949 })
    outbox.ack(99)
    expect(outbox.gap).toEqual({ from: 100, to: 5_949 })
    outbox.declared({ from: 100, to: 4_000 })
    expect(outbox.gap).toEqual({ from: 4_001, to: 5_949 })
  })

  test('asked for what it no longer has it tells so, also when that was declared before', () => {
    const outbox = new Outbox(shape, 1_000)
    for (let seq = 0; seq < 80; seq++) outbox.push(frame(seq), true)
    outbox.declared({ from: 0, to: 29 })
    outbox.resend(10)
    expect(outbox.gap).toEqual({ from: 10, to: 29 })
    expect(ranges(drain(outbox))[0]).toEqual(['ab', 30, 39])
  })
})

describe('outbox of a room that keeps nothing', () => {
  test('keeps nothing, sends each frame once, has no gap', () => {
    const outbox = new Outbox(shape)
    outbox.setKept(false)
    for (let seq = 0; seq < 6_000; seq++) {
      const [packet] = decodeMessage(outbox.push(frame(seq), true)!)
      expect(packet).toMatchObject({ seq, backlog: false })
    }
    outbox.resend()
    expect([outbox.unackedMs, outbox.gap, outbox.backlog()]).toEqual([0, undefined, undefined])
  })

  test('what no socket takes is lost', () => {
    const outbox = new Outbox(shape)
    outbox.setKept(false)
    for (let seq = 0; seq < 100; seq++) expect(outbox.push(frame(seq), false)).toBeUndefined()
    expect(drain(outbox)).toEqual([])
    expect(ranges(decodeMessage(outbox.push(frame(100), true)!))).toEqual([['a', 100, 100]])
  })

  test('a jump that the edge would refuse is bridged by silence', () => {
    const outbox = new Outbox(shape)
    outbox.setKept(false)
    outbox.push(frame(0), true)
    for (let seq = 1; seq < 1_600; seq++) outbox.push(frame(seq), false)
    const packets = decodeMessage(outbox.push(frame(1_600), true)!)
    expect(ranges(packets)).toEqual([['s', 1, 1_599], ['a', 1_600, 1_600]])
    expect(packets[0]!.timestamp).toBe(960)
  })

  test('begins to keep when the room does: an ack says that nothing is missing', () => {
    const outbox = new Outbox(shape)
    outbox.setKept(false)
    for (let seq = 0; seq < 100; seq++) outbox.push(frame(seq), true)
    outbox.setKept(true)
    expect(outbox.gap).toEqual({ from: 0, to: 99 })
    outbox.push(frame(100), true)
    expect(outbox.unackedMs).toBe(20)
    outbox.ack(100)
    expect([outbox.gap, outbox.unackedMs]).toEqual([undefined, 0])
  })

  test('lets go of what is unacked when the room stops keeping', () => {
    const outbox = new Outbox(shape, 1_000)
    for (let seq = 0; seq < 80; seq++) outbox.push(frame(seq), true)
    outbox.setKept(false)
    expect([outbox.unackedMs, outbox.gap, outbox.unsent]).toEqual([0, undefined, false])
  })
})

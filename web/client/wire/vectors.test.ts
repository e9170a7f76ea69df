// The golden vectors, as Go runs them.
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Hex, bytesOf, golden } from './golden'
import { handleOf, trackId } from './handle'
import { frameSamples, isStereo } from './opus'
import { type Packet, PacketError, decodeMessage, decodePacket, encodePacket, spanOf } from './packet'
import { addTimestamp } from './seq'

interface VectorPacket {
  kind: 'audio' | 'silence'
  flags: string[]
  handle: number
  epoch: number
  seq: number
  timestamp: number
  count: number
  unit: number
  trace_id?: Hex
  span_id?: Hex
  frames?: { seq: number; timestamp: number; hex: Hex }[]
}

const vectors = golden as {
  packets: { name: string; hex: Hex; encode?: boolean; packet: VectorPacket }[]
  invalid: { name: string; hex: Hex; error: string; end: number | null }[]
  messages: { name: string; of: string[]; reads: string[]; refused: string[] }[]
  toc_units: number[]
  opus: { name: string; hex: Hex; units?: number; channels?: number; refused?: string }[]
  track_ids: { handle: number; id: string }[]
  bad_track_ids: { id: string }[]
  digest: { frames: Hex[]; sha256: string }[]
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function expectSame(packet: Packet, want: VectorPacket): void {
  const flags = [packet.voice && 'voice', packet.backlog && 'backlog', packet.trace && 'traced'].filter(Boolean)
  expect(flags.sort()).toEqual(want.flags.filter((flag) => flag !== 'pack').sort())
  const { kind, handle, epoch, seq, timestamp } = packet
  expect({ kind, handle, epoch, seq, timestamp }).toEqual({
    kind: want.kind,
    handle: want.handle,
    epoch: want.epoch,
    seq: want.seq,
    timestamp: want.timestamp,
  })
  expect(spanOf(packet)).toBe(want.count)
  if (want.trace_id) expect(hexOf(packet.trace!)).toBe(hexOf(bytesOf(want.trace_id)) + hexOf(bytesOf(want.span_id!)))
  if (packet.kind === 'silence') return expect(packet.duration).toBe(want.unit)
  for (const frame of packet.frames) expect(frameSamples(frame)).toBe(want.unit * 120)
  for (const frame of want.frames ?? []) {
    const at = frame.seq - packet.seq
    expect(hexOf(packet.frames[at]!)).toBe(hexOf(bytesOf(frame.hex)))
    expect(addTimestamp(packet.timestamp, at * want.unit * 120)).toBe(frame.timestamp)
  }
}

function refusal(bytes: Uint8Array): PacketError {
  try {
    decodePacket(bytes)
  } catch (error) {
    if (error instanceof PacketError) return error
    throw error
  }
  throw new Error('was not refused')
}

describe('packets', () => {
  test.each(vectors.packets)('$name', ({ hex, packet: want, encode }) => {
    const bytes = bytesOf(hex)
    const { packet, next } = decodePacket(bytes)
    expect(next).toBe(bytes.length)
    expectSame(packet, want)
    if (encode !== false) expect(hexOf(encodePacket(packet))).toBe(hexOf(bytes))
    for (let cut = 0; cut < bytes.length; cut++) expect(refusal(bytes.subarray(0, cut)).reason).toBe('short')
  })
})

describe('invalid', () => {
  test.each(vectors.invalid)('$name', ({ hex, error, end }) => {
    const refused = refusal(bytesOf(hex))
    expect(refused.reason).toBe(error)
    expect(refused.end).toBe(end ?? -1)
  })
})

describe('messages', () => {
  const named = new Map([...vectors.packets, ...vectors.invalid].map((v) => [v.name, bytesOf(v.hex)]))
  const wanted = new Map(vectors.packets.map((v) => [v.name, v.packet]))
  test.each(vectors.messages)('$name', ({ of, reads, refused }) => {
    const errors: string[] = []
    const message = Buffer.concat(of.map((name) => named.get(name)!))
    const packets = decodeMessage(new Uint8Array(message), (error) => errors.push(error.reason))
    expect(packets.length).toBe(reads.length)
    packets.forEach((packet, i) => expectSame(packet, wanted.get(reads[i]!)!))
    expect(errors).toEqual(refused)
  })
})

describe('opus', () => {
  test.each(vectors.opus)('$name', ({ hex, units, channels }) => {
    const frame = bytesOf(hex)
    expect(frameSamples(frame)).toBe(units === undefined ? undefined : units * 120)
    if (channels) expect(isStereo(frame[0]!)).toBe(channels === 2)
  })

  test('every configuration lasts as long as RFC 6716 says', () => {
    const units = vectors.toc_units.map((_, config) => frameSamples(Uint8Array.of(config << 3, 0))! / 120)
    expect(units).toEqual(vectors.toc_units)
  })
})

test('track ids', () => {
  for (const { handle, id } of vectors.track_ids) {
    expect(trackId(handle)).toBe(id)
    expect(handleOf(id)).toBe(handle)
  }
  for (const { id } of vectors.bad_track_ids) expect(handleOf(id)).toBeUndefined()
})

test('digest', () => {
  for (const { frames, sha256 } of vectors.digest) {
    const hash = createHash('sha256')
    for (const frame of frames.map(bytesOf)) {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(frame.length)
      hash.update(length).update(frame)
    }
    expect(hash.digest('hex')).toBe(sha256)
  }
})

// The packet decoder against noise and against golden vectors with something changed: it refuses with its own error or
// gives a packet that is written again as the same bytes, and always gets on.
import { expect, test } from 'vitest'
import { type Hex, bytesOf, golden } from './golden'
import { type Packet, PacketError, decodeMessage, decodePacket, encodePacket, spanOf } from './packet'
import { MAX_SEQ } from './seq'

const ITERATIONS = 100_000
const SEED = Number(process.env.AIRLOOM_FUZZ_SEED ?? 20_261_120)

/** xorshift32: the same numbers each time, so that what is found is found again. */
function randomness(seed: number): (below: number) => number {
  let x = seed | 1
  return (below) => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) % below
  }
}

const seeds: Uint8Array[] = [...golden.packets, ...golden.invalid].map(({ hex }: { hex: Hex }) => bytesOf(hex))

/** The one thing that may be said in two ways: a frame alone, or in a pack of one. It is written as a frame alone. */
const isPackOfOne = (bytes: Uint8Array, packet: Packet) => packet.kind === 'audio' && packet.frames.length === 1 && (bytes[0]! & 0x08) !== 0

function check(bytes: Uint8Array): boolean {
  let decoded: { packet: Packet; next: number }
  try {
    decoded = decodePacket(bytes)
  } catch (error) {
    if (!(error instanceof PacketError)) throw error
    if (error.end !== -1 && !(error.end > 0 && error.end <= bytes.length)) throw new Error(`ends at ${error.end} of ${bytes.length}`)
    return false
  }
  const { packet, next } = decoded
  if (!(next > 0 && next <= bytes.length)) throw new Error(`ends at ${next} of ${bytes.length}`)
  if (packet.handle === 0 || packet.seq + spanOf(packet) - 1 > MAX_SEQ) throw new Error('took what must be refused')
  const again = encodePacket(packet)
  if (isPackOfOne(bytes, packet)) {
    const alone = Uint8Array.from([...bytes.subarray(0, next)])
    alone[0]! &= ~0x08
    const count = 14 + (packet.trace?.length ?? 0)
    if (!Buffer.concat([alone.subarray(0, count), alone.subarray(count + 1)]).equals(again)) throw new Error('a pack of one was not written as one frame')
  } else if (!Buffer.from(again).equals(bytes.subarray(0, next))) throw new Error('was written otherwise than it was read')
  return true
}

function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  for (let changes = 1 + random(3); changes > 0 && copy.length > 0; changes--) {
    const at = random(4) === 0 ? random(copy.length) : random(Math.min(copy.length, 20)) // mostly where the structure is
    copy[at] = random(2) === 0 ? copy[at]! ^ (1 << random(8)) : random(256)
  }
  if (random(4) === 0) return copy.subarray(0, random(copy.length + 1))
  return copy
}

/** Says what bytes it was, so that they can become a vector. */
function attempt(bytes: Uint8Array, what: (bytes: Uint8Array) => boolean): boolean {
  try {
    return what(bytes)
  } catch (error) {
    throw new Error(`${error} with ${Buffer.from(bytes).toString('hex')} (seed ${SEED})`)
  }
}

test('noise is refused, or is a packet', () => {
  const random = randomness(SEED)
  const buffer = new Uint8Array(64)
  let taken = 0
  for (let i = 0; i < ITERATIONS; i++) {
    const bytes = buffer.subarray(0, random(buffer.length + 1))
    for (let at = 0; at < bytes.length; at++) bytes[at] = random(256)
    if (bytes.length > 0 && random(2) === 0) bytes[0] = 0x40 | (bytes[0]! & 0x1f) // past the first check
    if (attempt(bytes, check)) taken++
  }
  expect(taken).toBeGreaterThan(ITERATIONS / 100)
})

test('mutated vectors are refused, or are packets', () => {
  const random = randomness(SEED + 1)
  let taken = 0
  for (let i = 0; i < ITERATIONS; i++) if (attempt(mutate(seeds[random(seeds.length)]!, random), check)) taken++
  expect(taken).toBeGreaterThan(ITERATIONS / 20)
})

test('messages of mutated packets: all is read or refused, and each packet takes up some of it', () => {
  const random = randomness(SEED + 2)
  const short = seeds.filter((bytes) => bytes.length < 100)
  for (let i = 0; i < ITERATIONS / 5; i++) {
    const parts = Array.from({ length: 1 + random(4) }, () => mutate(short[random(short.length)]!, random))
    attempt(new Uint8Array(Buffer.concat(parts)), (bytes) => {
      let refused = 0
      const packets = decodeMessage(bytes, () => refused++)
      if ((packets.length + refused) * 14 > bytes.length + 14) throw new Error('more packets than there is room for')
      return packets.every((packet) => encodePacket(packet).length <= bytes.length)
    })
  }
})

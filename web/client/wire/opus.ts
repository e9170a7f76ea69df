// What an Opus packet says of itself before any decoding: RFC 6716 §3.1 (the TOC byte) and §3.4 (R1–R7, what makes
// a packet well-formed). airloom passes Opus through untouched, so this is all it ever needs to know.

export const SAMPLE_RATE = 48_000
export const MIN_FRAME_BYTES = 2
export const MAX_FRAME_BYTES = 1_275
const MAX_FRAME_SAMPLES = 5_760 // 120 ms

const SILK = [480, 960, 1_920, 2_880] // 10, 20, 40, 60 ms
const CELT = [120, 240, 480, 960] // 2.5, 5, 10, 20 ms

/** Samples (at 48 kHz) of one Opus frame inside a packet with this TOC byte. */
function samplesPerOpusFrame(toc: number): number {
  const config = toc >> 3
  if (config < 12) return SILK[config & 3]!
  if (config < 16) return SILK[config & 1]! // hybrid: 10 or 20 ms
  return CELT[config & 3]!
}

export const isStereo = (toc: number): boolean => (toc & 4) !== 0

/** RFC 6716 §3.2.1: a length in one byte (0–251) or two. Undefined when the bytes end before it does. */
export function readLength(bytes: Uint8Array, at: number): { value: number; next: number } | undefined {
  const first = bytes[at]
  if (first === undefined) return undefined
  if (first < 252) return { value: first, next: at + 1 }
  const second = bytes[at + 1]
  if (second === undefined) return undefined
  return { value: first + 4 * second, next: at + 2 }
}

/**
 * The duration in 48 kHz samples of a valid frame (one Opus packet, RFC 6716 §3), or undefined if it is not one:
 * shorter than 2 bytes, longer than 1,275 or than 120 ms, or with a frame count and sizes that do not fit its bytes.
 */
export function frameSamples(frame: Uint8Array): number | undefined {
  if (frame.length < MIN_FRAME_BYTES || frame.length > MAX_FRAME_BYTES) return undefined
  const toc = frame[0]!
  const count = validFrameCount(frame, toc & 3)
  if (count === undefined) return undefined
  const samples = count * samplesPerOpusFrame(toc)
  return samples <= MAX_FRAME_SAMPLES ? samples : undefined
}

function validFrameCount(frame: Uint8Array, code: number): number | undefined {
  if (code === 0) return 1
  if (code === 1) return frame.length % 2 === 1 ? 2 : undefined // R3
  if (code === 2) {
    const first = readLength(frame, 1)
    return first && first.next + first.value <= frame.length ? 2 : undefined // R4
  }
  return validCode3(frame)
}

/** A packet of M frames (code 3): R5 to R7. */
function validCode3(frame: Uint8Array): number | undefined {
  const header = frame[1]!
  const count = header & 0x3f
  if (count === 0) return undefined
  let at = 2
  let padding = 0
  if (header & 0x40) {
    for (let more = true; more; ) {
      const byte = frame[at++]
      if (byte === undefined) return undefined
      more = byte === 255
      padding += more ? 254 : byte
    }
  }
  if ((header & 0x80) === 0) {
    const left = frame.length - at - padding
    return left >= 0 && left % count === 0 ? count : undefined // R6
  }
  let coded = 0
  for (let i = 1; i < count; i++) {
    const length = readLength(frame, at)
    if (!length) return undefined
    at = length.next
    coded += length.value
  }
  return at + coded + padding <= frame.length ? count : undefined // R7
}

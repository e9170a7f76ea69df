// The packet codec of docs/wire.md §1. It owns the byte layout and its validity rules; it knows nothing of sockets.

import { MAX_FRAME_BYTES, frameSamples, readLength } from './opus'
import { MAX_SEQ } from './seq'

export const HEADER_BYTES = 14
const TRACE_BYTES = 24
const VERSION = 1
const KIND_AUDIO = 0
const KIND_SILENCE = 1
const VOICE = 0x1
const BACKLOG = 0x2
const TRACED = 0x4
const PACK = 0x8
/** Samples in one unit of a silence packet's duration: 2.5 ms. */
export const SILENCE_UNIT = 120

interface Header {
  handle: number
  epoch: number
  /** Of the first frame. */
  seq: number
  /** Of the first frame's first sample, 48 kHz, wraps at 2³². */
  timestamp: number
  voice: boolean
  backlog: boolean
  /** W3C trace id (16 bytes) and span id (8 bytes), one after the other. */
  trace?: Uint8Array
}

export interface AudioPacket extends Header {
  kind: 'audio'
  /** 1–255 Opus packets with consecutive seqs. */
  frames: Uint8Array[]
}

export interface SilencePacket extends Header {
  kind: 'silence'
  /** How many seqs are silent by declaration, 1–65,535. */
  span: number
  /** How long each lasts, in units of 2.5 ms, 1–48. */
  duration: number
}

export type Packet = AudioPacket | SilencePacket

/** The first of these that holds is why a packet is refused. */
export type Refusal = 'short' | 'version' | 'kind' | 'flags' | 'count' | 'handle' | 'opus' | 'seq'

/** A packet was refused; it ends before `end`, where the next one starts; −1 when the bytes do not tell. */
export class PacketError extends Error {
  constructor(
    readonly reason: Refusal,
    readonly end = -1,
  ) {
    super(`refused packet: ${reason}`)
  }
}

/** How many frames' worth of seqs a packet covers. */
export const spanOf = (packet: Packet): number => (packet.kind === 'audio' ? packet.frames.length : packet.span)

/** Reads the packet at `at`; `next` is where the one after it starts. Throws PacketError. Frames are views, not copies. */
export function decodePacket(bytes: Uint8Array, at = 0): { packet: Packet; next: number } {
  const head = bytes[at]
  if (head === undefined) throw new PacketError('short')
  if (head >> 6 !== VERSION) throw new PacketError('version')
  const kind = (head >> 4) & 3
  if (kind > KIND_SILENCE) throw new PacketError('kind')
  const flags = head & 0xf
  if (kind === KIND_SILENCE && flags & PACK) throw new PacketError('flags')
  const body = at + HEADER_BYTES + (flags & TRACED ? TRACE_BYTES : 0)
  if (body > bytes.length) throw new PacketError('short')

  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES)
  const header: Header = {
    handle: view.getUint32(1),
    epoch: view.getUint8(5),
    seq: view.getUint32(6),
    timestamp: view.getUint32(10),
    voice: (flags & VOICE) !== 0,
    backlog: (flags & BACKLOG) !== 0,
  }
  if (flags & TRACED) header.trace = bytes.subarray(body - TRACE_BYTES, body)
  return kind === KIND_AUDIO ? decodeAudio(bytes, body, header, (flags & PACK) !== 0) : decodeSilence(bytes, body, header)
}

function decodeAudio(bytes: Uint8Array, body: number, header: Header, pack: boolean): { packet: AudioPacket; next: number } {
  const { frames, next } = cutFrames(bytes, body, pack)
  if (frames.length === 0) throw new PacketError('count', next)
  if (header.handle === 0) throw new PacketError('handle', next)
  const samples = frames.map(frameSamples)
  if (samples[0] === undefined || samples.some((s) => s !== samples[0])) throw new PacketError('opus', next)
  if (header.seq + frames.length - 1 > MAX_SEQ) throw new PacketError('seq', next)
  return { packet: { ...header, kind: 'audio', frames }, next }
}

/** The payloads, as their lengths cut them, whatever is in them. */
function cutFrames(bytes: Uint8Array, body: number, pack: boolean): { frames: Uint8Array[]; next: number } {
  const count = pack ? bytes[body] : 1
  if (count === undefined) throw new PacketError('short')
  let at = pack ? body + 1 : body
  const lengths: number[] = []
  for (let i = 0; i < count; i++) {
    const length = readLength(bytes, at)
    if (!length) throw new PacketError('short')
    lengths.push(length.value)
    at = length.next
  }
  const frames = lengths.map((length) => bytes.subarray(at, (at += length)))
  if (at > bytes.length) throw new PacketError('short')
  return { frames, next: at }
}

function decodeSilence(bytes: Uint8Array, body: number, header: Header): { packet: SilencePacket; next: number } {
  const next = body + 3
  if (next > bytes.length) throw new PacketError('short')
  const span = (bytes[body]! << 8) | bytes[body + 1]!
  const duration = bytes[body + 2]!
  if (span === 0 || duration < 1 || duration > 48) throw new PacketError('count', next)
  if (header.handle === 0) throw new PacketError('handle', next)
  if (header.seq + span - 1 > MAX_SEQ) throw new PacketError('seq', next)
  return { packet: { ...header, kind: 'silence', span, duration }, next }
}

/**
 * All packets of a message, one after the other. A refused packet is left out and told to `refused`; the ones after it
 * are read as long as the bytes tell where they start.
 */
export function decodeMessage(bytes: Uint8Array, refused?: (error: PacketError) => void): Packet[] {
  const packets: Packet[] = []
  for (let at = 0; at < bytes.length; ) {
    try {
      const { packet, next } = decodePacket(bytes, at)
      packets.push(packet)
      at = next
    } catch (error) {
      if (!(error instanceof PacketError)) throw error
      refused?.(error)
      if (error.end < 0) break
      at = error.end
    }
  }
  return packets
}

/** Writes a packet. What decodePacket would refuse is refused here too, so that it is never sent. */
export function encodePacket(packet: Packet): Uint8Array {
  const body = packet.kind === 'audio' ? encodeFrames(packet.frames) : encodeSpan(packet)
  const trace = packet.trace
  if (trace && trace.length !== TRACE_BYTES) throw new RangeError(`a trace has 24 bytes, not ${trace.length}`)
  if (packet.handle === 0) throw new PacketError('handle')
  if (packet.seq + spanOf(packet) - 1 > MAX_SEQ) throw new PacketError('seq')

  const start = HEADER_BYTES + (trace ? TRACE_BYTES : 0)
  const bytes = new Uint8Array(start + body.length)
  const pack = packet.kind === 'audio' && packet.frames.length > 1
  const view = new DataView(bytes.buffer)
  view.setUint8(
    0,
    (VERSION << 6) |
      ((packet.kind === 'audio' ? KIND_AUDIO : KIND_SILENCE) << 4) |
      (packet.voice ? VOICE : 0) |
      (packet.backlog ? BACKLOG : 0) |
      (trace ? TRACED : 0) |
      (pack ? PACK : 0),
  )
  view.setUint32(1, packet.handle)
  view.setUint8(5, packet.epoch)
  view.setUint32(6, packet.seq)
  view.setUint32(10, packet.timestamp)
  if (trace) bytes.set(trace, HEADER_BYTES)
  bytes.set(body, start)
  return bytes
}

function encodeFrames(frames: Uint8Array[]): Uint8Array {
  if (frames.length < 1 || frames.length > 255) throw new PacketError('count')
  const head: number[] = frames.length > 1 ? [frames.length] : []
  let payload = 0
  for (const frame of frames) {
    if (frame.length > MAX_FRAME_BYTES || frameSamples(frame) === undefined) throw new PacketError('opus')
    payload += frame.length
    if (frame.length < 252) head.push(frame.length)
    else {
      const first = 252 + (frame.length & 3) // 252 is a multiple of 4: the low bits are the length's own
      head.push(first, (frame.length - first) / 4)
    }
  }
  const body = new Uint8Array(head.length + payload)
  body.set(head)
  let at = head.length
  for (const frame of frames) {
    body.set(frame, at)
    at += frame.length
  }
  return body
}

function encodeSpan({ span, duration }: SilencePacket): Uint8Array {
  if (!(span >= 1 && span <= 0xffff)) throw new PacketError('count')
  if (!(duration >= 1 && duration <= 48)) throw new PacketError('count')
  return Uint8Array.of(span >> 8, span & 0xff, duration)
}

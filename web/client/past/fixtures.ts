// Packets for the tests of this folder.

import type { Packet } from '../wire/packet'

/** A pack of 20 ms frames, as the log has them. */
export const pack = (handle: number, seq: number, count = 10, epoch = 0, bytes = 2): Packet => ({
  kind: 'audio',
  handle,
  epoch,
  seq,
  timestamp: (seq * 960) >>> 0,
  voice: true,
  backlog: true,
  frames: Array.from({ length: count }, (_, i) => new Uint8Array(bytes).fill(0xf8, 0, 1).fill((seq + i) & 0xff, 1)),
})

/** So many frames of 20 ms that are silent by declaration. */
export const silence = (handle: number, seq: number, span: number): Packet => ({
  kind: 'silence',
  handle,
  epoch: 0,
  seq,
  timestamp: (seq * 960) >>> 0,
  voice: false,
  backlog: true,
  span,
  duration: 8,
})

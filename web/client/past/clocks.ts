// When tracks' samples were captured, as their speakers said: `clock` of the roster and of playback. It is the speakers' best
// estimate of UTC and may be wrong; whoever asks weighs it against the order in which the log had the packets.

import type { Clock } from '../wire/messages'
import type { Packet } from '../wire/packet'
import { SAMPLE_RATE } from '../wire/opus'

/** A clock is good for the epoch that it was told with: another one counts anew. */
export interface Clocked {
  handle: number
  epoch: number
  clock?: Clock | null
}

/** Tracks remembered; the oldest go. */
const TRACKS = 1_024
const MS = SAMPLE_RATE / 1_000
/** Timestamps come round after so long. */
const ROUND_MS = 2 ** 32 / MS

export class Clocks {
  #known = new Map<number, { epoch: number; clock: Clock }>()

  know(tracks: Iterable<Clocked>): void {
    for (const { handle, epoch, clock } of tracks) {
      if (!clock) continue
      this.#known.delete(handle) // to the end: it is the newest now
      this.#known.set(handle, { epoch, clock })
      if (this.#known.size > TRACKS) this.#known.delete(this.#known.keys().next().value!)
    }
  }

  /** When the packet's first sample was captured, in ms since 1970, in the round nearest to `about`; undefined where nobody said. */
  captured(packet: Packet, about: number): number | undefined {
    const known = this.#known.get(packet.handle)
    if (known?.epoch !== packet.epoch) return undefined
    const { timestamp, unix_us } = known.clock
    const at = unix_us / 1_000 + ((packet.timestamp - timestamp) >>> 0) / MS
    return at + Math.round((about - at) / ROUND_MS) * ROUND_MS
  }

  clear(): void {
    this.#known.clear()
  }
}

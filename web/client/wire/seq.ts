// Where a frame stands. Seqs never wrap (a track that reaches the end takes a new epoch); timestamps do.

export const MAX_SEQ = 0xffff_ffff

/** One number that orders frames of a track by (epoch, seq): 8 + 32 bits, exact in a double. */
export const orderOf = (epoch: number, seq: number): number => epoch * 0x1_0000_0000 + seq

/** a − b for timestamps that wrap at 2³², as the nearest signed distance. */
export const timestampDelta = (a: number, b: number): number => (a - b) | 0

export const addTimestamp = (timestamp: number, samples: number): number => (timestamp + samples) >>> 0

/** Turns wrapping timestamps into a steady count of samples, right as long as neighbours are within 12 hours. */
export class TimestampUnwrapper {
  #last: number | undefined

  unwrap(timestamp: number): number {
    const last = this.#last
    const next = last === undefined ? timestamp : last + timestampDelta(timestamp, last >>> 0)
    this.#last = next
    return next
  }
}

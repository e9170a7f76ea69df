// How late packets come, and so how far behind its speaker a listener has to play. Times are those of the listener's
// audio clock alone; a packet's *transit* is its arrival minus its media time. Only differences of transits mean anything.

export interface DelayConfig {
  /** Arrivals remembered: 750 of 20 ms are 15 s. */
  memory: number
  /** Share of arrivals that have to be in time. */
  quantile: number
  /** Arrivals up to this much later than the fastest are all waited for, whatever the quantile says: it costs little. */
  coverMs: number
  /** Never play closer than this to the fastest arrival. */
  floorMs: number
  /** Never play farther behind it than this: what comes later is lost or skipped. */
  ceilingMs: number
  /** Added to what the quantile asks for: the output device takes samples in bursts. */
  marginMs: number
}

export const INTERACTIVE: DelayConfig = { memory: 750, quantile: 0.995, coverMs: 60, floorMs: 18, ceilingMs: 300, marginMs: 12 }

const REFRESH_EVERY = 10

export class DelayEstimator {
  #transits: number[] = []
  #next = 0
  #sinceRefresh = REFRESH_EVERY
  #fastest = 0
  #target = 0
  #spareMs = 0

  constructor(readonly config: DelayConfig = INTERACTIVE) {}

  get known(): boolean {
    return this.#transits.length > 0
  }

  /** The transit that playout follows: media sample p is due at p + this. */
  get targetTransitMs(): number {
    return this.#target
  }

  /** How much farther behind to play than the arrivals ask for: where delay costs nothing, a busy machine is not heard. */
  set spareMs(ms: number) {
    this.#spareMs = ms
    if (this.known) this.#refresh()
  }

  get fastestMs(): number {
    return this.#fastest
  }

  /** A packet arrived, not concealed nor sent again: those say nothing of the path. */
  arrived(transitMs: number): void {
    this.#transits[this.#next] = transitMs
    this.#next = (this.#next + 1) % this.config.memory
    const faster = transitMs < this.#fastest
    if (++this.#sinceRefresh >= REFRESH_EVERY || faster || this.#transits.length <= REFRESH_EVERY) this.#refresh()
  }

  reset(): void {
    this.#transits = []
    this.#next = 0
    this.#sinceRefresh = REFRESH_EVERY
  }

  #refresh(): void {
    this.#sinceRefresh = 0
    const sorted = Float64Array.from(this.#transits).sort()
    const { quantile, coverMs, floorMs, ceilingMs, marginMs } = this.config
    const fastest = (this.#fastest = sorted[0]!)
    const most = Math.min(sorted.at(-1)!, fastest + coverMs)
    const late = Math.max(sorted[Math.ceil(quantile * sorted.length) - 1]!, most, fastest + floorMs)
    this.#target = Math.min(fastest + ceilingMs, late + marginMs) + this.#spareMs
  }
}

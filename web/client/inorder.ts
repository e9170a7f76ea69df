// Results of an asynchronous codec, put back between the things that need no codec: what went in first comes out first.

export class InOrder<T> {
  #queue: { value: T | undefined }[] = []

  constructor(private readonly emit: (value: T) => void) {}

  /** How many results are awaited, with what waits behind them. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Something that is ready now. */
  add(value: T): void {
    this.#queue.push({ value })
    this.#drain()
  }

  /** Keeps the place of something whose result comes later; results come in the order of their places. */
  reserve(): void {
    this.#queue.push({ value: undefined })
  }

  /** The result for the oldest place that still waits. */
  fill(value: T): void {
    const place = this.#queue.find((entry) => entry.value === undefined)
    if (!place) return
    place.value = value
    this.#drain()
  }

  #drain(): void {
    while (this.#queue[0]?.value !== undefined) this.emit(this.#queue.shift()!.value!)
  }
}

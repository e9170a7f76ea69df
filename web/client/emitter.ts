// Typed events, as little as is needed.

/** Events that wait for a loop; the oldest go. */
const EACH_WAITING = 64

export class Emitter<Events extends object> {
  #listeners = new Map<keyof Events, Set<(event: any) => void>>()

  /** Calls `listener` for each event of that name; call what it returns to stop. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  /**
   * The events of that name, one after the other: `for await (const playback of room.each('playback'))`. Whoever is slower
   * than they come finds the newest ones; the loop ends by `break`.
   */
  async *each<Name extends keyof Events>(name: Name): AsyncGenerator<Events[Name], never, void> {
    const waiting: Events[Name][] = []
    let wake = () => {}
    const off = this.on(name, (event) => {
      waiting.push(event)
      if (waiting.length > EACH_WAITING) waiting.shift()
      wake()
    })
    try {
      for (;;) {
        if (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        else yield waiting.shift()!
      }
    } finally {
      off()
    }
  }

  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(event)
  }
}

// Typed events, as little as is needed.

export class Emitter<Events extends object> {
  #listeners = new Map<keyof Events, Set<(event: any) => void>>()

  /** Calls `listener` for each event of that name; call what it returns to stop. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(event)
  }
}

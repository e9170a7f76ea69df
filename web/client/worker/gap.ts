// When the edge is told of a track's gap. While no ack comes a gap grows with every frame, and telling it helps nobody: it
// is told when the edge can use it, at most once a second.

import type { AirloomError } from '../errors'
import type { Outbox, Range } from '../net/outbox'

const APART_MS = 1_000

export class GapTeller {
  #dueAt = Infinity
  #notBefore = 0
  #telling = false
  /** How many were told and taken. */
  told = 0

  constructor(
    private readonly outbox: Outbox,
    /** Resolves when the edge has taken it. */
    private readonly tell: (gap: Range) => Promise<unknown>,
  ) {}

  /** Acks move again, or the edge asks for what is missing: the gap it stands before, if any, is wanted (in a while). */
  due(inMs = 0): void {
    this.#dueAt = Math.min(this.#dueAt, Date.now() + inMs)
  }

  /** Tells the gap when it is time; call it now and then, while a socket is open and the log is there. */
  poll(): void {
    const { gap } = this.outbox
    const now = Date.now()
    if (!gap) this.#dueAt = Infinity
    if (!gap || this.#telling || now < this.#dueAt || now < this.#notBefore) return
    this.#telling = true
    this.#dueAt = Infinity
    this.#notBefore = now + APART_MS
    const range = { ...gap }
    this.tell(range)
      .then(
        () => {
          this.told++
          this.outbox.declared(range)
        },
        (error: AirloomError) => error.code === 'log_away' && this.due(),
      )
      .finally(() => (this.#telling = false))
  }
}

// Tracks that have ended, or that an edge has ended, and are not acked whole. They are sent again, to any edge, like the track that is
// spoken on, until all of it is in the log or the edge says how much is not; then the page is told.

import type { EdgeMessage, ResumedTrack, Welcome } from '../wire/messages'
import type { Life, LifeStats, Unkept } from './life'

const PUMP_MS = 100
/** Each holds up to two minutes of sound. An edge lets a session have eight tracks at a time; of more the oldest is given up. */
const MAX_LIVES = 8
/** Acks are always a moment behind: what was said within this time before the end is not worth a word, where nobody knows that it is missing. */
const BEHIND_MS = 2_000

export class Remains {
  /** Oldest first. */
  #lives: Life[] = []
  #pump: ReturnType<typeof setInterval> | undefined

  constructor(private readonly tell: (unkept: Unkept) => void) {}

  /** Newest first. */
  get resumable(): ResumedTrack[] {
    return this.#lives.map((life) => life.resumable).reverse()
  }

  get stats(): LifeStats[] {
    return this.#lives.map((life) => life.stats)
  }

  take(life: Life): void {
    this.#lives.push(life)
    if (this.#lives.length > MAX_LIVES) this.#lives[0]!.giveUp()
    this.#pump ??= setInterval(() => this.#look((life) => life.pump()), PUMP_MS)
    this.#look(() => {})
  }

  welcomed(welcome: Welcome): void {
    this.#look((life) => life.welcomed(welcome) === 'gone' && life.giveUp())
  }

  heard(message: EdgeMessage): void {
    this.#look((life) => life.heard(message))
  }

  /** The session is over, or about to be: what is not acked by now nobody will tell. */
  close(): void {
    this.#look((life) => life.giveUp())
    this.#lives = [] // also those whose end is still being asked for
    this.#look(() => {})
  }

  #look(at: (life: Life) => unknown): void {
    for (const life of this.#lives) at(life)
    const settled = this.#lives.filter((life) => life.settled)
    this.#lives = this.#lives.filter((life) => !settled.includes(life))
    if (this.#lives.length === 0) {
      clearInterval(this.#pump)
      this.#pump = undefined
    }
    for (const { unkept } of settled) {
      if (unkept && (!unkept.atMost || unkept.missingMs > BEHIND_MS)) this.tell(unkept)
    }
  }
}

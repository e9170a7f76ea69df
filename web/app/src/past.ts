// Where the sound of a stay is, as the pages show it: what the room tells, and what the person wants meanwhile.

import { computed, signal } from '@preact/signals'
import { AirloomError, type PlaybackWindow, type Room, type RoomPlayback } from '../../client'

/** An edge takes 5 requests a second: keys that are held down are not each a seek. */
const SEEK_EVERY_MS = 400
const WINDOW_EVERY_MS = 30_000
/** As long as there is nothing to go back to, it may begin at any moment. */
const NO_WINDOW_EVERY_MS = 5_000
const CATCH_UP_RATE = 1.5
/** Nearer than this is meant as live. */
const LIVE_S = 1

export class Past {
  readonly playback = signal<RoomPlayback | undefined>(undefined)
  readonly window = signal<PlaybackWindow | null>(null)
  /** Seconds before live where the person wants to be while that is not yet so. */
  readonly wanted = signal<number | undefined>(undefined)
  /** By the edge's clock, once a second. */
  readonly now = signal(new Date())
  /** Seconds before live: where the sound is, or is about to be. */
  readonly behindS = computed(() => this.wanted.value ?? (this.playback.value?.behindMs ?? 0) / 1_000)
  readonly live = computed(() => this.wanted.value === undefined && (this.playback.value?.state ?? 'live') === 'live')
  /** How far back the window reaches; undefined while there is none. */
  readonly reachS = computed(() => {
    const from = this.window.value?.from
    return from && Math.max(0, (this.now.value.getTime() - from.getTime()) / 1_000)
  })
  #seeking = false
  #soughtAt = -Infinity
  #later: ReturnType<typeof setTimeout> | undefined
  #askedAt = -Infinity
  #timer: ReturnType<typeof setInterval> | undefined
  #off: (() => void)[] = []

  constructor(
    private readonly room: Room,
    private readonly say: (words: string) => void,
    private readonly failed: (error: unknown) => void,
  ) {
    this.#off = [
      room.on('playback', (playback) => this.#told(playback)),
      room.on('room', () => (this.#askedAt = -Infinity)),
      room.on('roster', ({ tracksStarted }) => tracksStarted.length > 0 && this.window.value === null && (this.#askedAt = -Infinity)),
    ]
    this.#timer = setInterval(() => this.#tick(), 1_000)
    this.#tick()
  }

  get keeps(): boolean {
    return this.room.info.keep !== 'none' && this.room.grants.listen
  }

  /** To so many seconds before live; within the window, and live where that is nearer. */
  seek(seconds: number): void {
    this.now.value = this.room.now // the window has grown since the last second
    const reach = this.reachS.value
    if (reach === undefined) return
    this.wanted.value = Math.min(Math.max(0, seconds), reach)
    this.#pump()
  }

  /** Only shows where it would go. */
  preview(seconds: number): void {
    this.wanted.value = Math.min(Math.max(0, seconds), this.reachS.value ?? 0)
  }

  by(seconds: number): void {
    this.seek(this.behindS.value - seconds)
  }

  toLive(): void {
    if (!this.live.value) this.seek(0)
  }

  /** From here on faster, until it is live. */
  catchUp(): void {
    const at = this.playback.value?.at
    if (at) void this.room.rewind({ from: at, rate: CATCH_UP_RATE }).catch(this.failed)
  }

  close(): void {
    for (const off of this.#off) off()
    clearInterval(this.#timer)
    clearTimeout(this.#later)
  }

  #tick(): void {
    this.now.value = this.room.now
    const every = this.window.value ? WINDOW_EVERY_MS : NO_WINDOW_EVERY_MS
    if (!this.keeps || this.room.status.state === 'reconnecting' || Date.now() - this.#askedAt < every) return
    this.#askedAt = Date.now()
    this.room.window().catch((error: unknown) => {
      // An edge that does not know the question counts asking as a fault: not again.
      if (error instanceof AirloomError && (error.code === 'bad_message' || error.code === 'not_supported')) this.#askedAt = Infinity
    })
  }

  #told(playback: RoomPlayback): void {
    this.playback.value = playback
    this.window.value = playback.window
  }

  /** One seek at a time, the newest wish wins. */
  #pump(): void {
    if (this.#seeking || this.wanted.value === undefined) return
    clearTimeout(this.#later)
    const wait = this.#soughtAt + SEEK_EVERY_MS - Date.now()
    if (wait > 0) {
      this.#later = setTimeout(() => this.#pump(), wait)
      return
    }
    void this.#seek(this.wanted.value)
  }

  async #seek(seconds: number): Promise<void> {
    this.#seeking = true
    this.#soughtAt = Date.now()
    try {
      if (seconds < LIVE_S) await this.room.live()
      else if ((await this.room.rewind({ from: seconds })).clamped === 'before_window') this.say('This is the oldest that is kept')
    } catch (error) {
      if (this.wanted.value === seconds) this.wanted.value = undefined
      this.failed(error)
    }
    this.#seeking = false
    if (this.wanted.value === seconds) this.wanted.value = undefined
    else this.#pump()
  }
}

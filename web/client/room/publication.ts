// A track this participant publishes, as the page holds it.

import { Emitter } from '../emitter'
import type { AirloomError } from '../errors'
import type { AudioSource } from '../audio/input'

export interface PublicationEvents {
  /** The track has an id; again, with another one, when the session had to start over. */
  started: string
  muted: boolean
  /**
   * The encoder failed and was replaced; or, with `ended` right after it, nothing is sent any more: `speak_taken` where the right to
   * speak was, else what the edge refuses the track with.
   */
  failed: AirloomError
  ended: undefined
}

export class Publication extends Emitter<PublicationEvents> {
  #track = ''
  #muted: boolean
  #ended = false

  constructor(
    readonly source: AudioSource,
    muted: boolean,
    private readonly tellMuted: (muted: boolean) => void,
    private readonly tellEnd: () => Promise<void>,
  ) {
    super()
    this.#muted = muted
  }

  /** The track's id. */
  get track(): string {
    return this.#track
  }

  get muted(): boolean {
    return this.#muted
  }

  get ended(): boolean {
    return this.#ended
  }

  /** The microphone stays open while muted, but nothing of it leaves this machine. */
  setMuted(muted: boolean): void {
    if (this.#ended || muted === this.#muted) return
    this.#muted = muted
    this.tellMuted(muted)
    this.emit('muted', muted)
  }

  /** Ends the track; resolves when all that was sent is kept, as far as the room keeps anything. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.emit('ended', undefined)
    await this.tellEnd()
  }

  /** @internal */
  isStarted(track: string): void {
    this.#track = track
    this.emit('started', track)
  }

  /** The track has ended, and not by this side's wish: the device is let go at once. @internal */
  isOver(error: AirloomError): void {
    if (this.#ended) return
    this.#ended = true
    this.source.close()
    this.emit('failed', error)
    this.emit('ended', undefined)
  }

  /** @internal */
  isFailed(error: AirloomError): void {
    this.emit('failed', error)
  }
}

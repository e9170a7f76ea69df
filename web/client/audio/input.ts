// What a page holds of a source: a microphone or a file that the worker reads, its level, and the way to let it go.

import { Emitter } from '../emitter'
import type { Level } from './meter'

export interface SourceEvents {
  /** Fifty times a second while the source is open. */
  level: Level
  /** The file is at its end, or the device was taken away. */
  ended: undefined
}

export class AudioSource extends Emitter<SourceEvents> {
  #closed = false

  constructor(
    /** The worker's number for it. */
    readonly id: number,
    readonly kind: 'microphone' | 'file',
    readonly label: string,
    readonly channels: 1 | 2,
    /** The microphone's own track; undefined for a file. */
    readonly track: MediaStreamTrack | undefined,
    private readonly release: () => void,
  ) {
    super()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** @internal */
  heard(level: Level): void {
    this.emit('level', level)
  }

  /** @internal */
  over(): void {
    if (this.#closed) return
    this.close()
    this.emit('ended', undefined)
  }

  /** Lets the device go: the browser's recording sign goes out. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.track?.stop()
    this.release()
  }
}

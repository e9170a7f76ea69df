// What is played here: a player for each track that is heard, a gain for each identity. In the past tracks are heard that
// the roster does not know any more; when it is live again they go.

import type { PlayoutStats } from '../audio/jitter'
import { type Output, Player } from '../audio/player'
import type { WorkerPort } from '../worker/port'

export interface PlayedTrack {
  track: string
  handle: number
  channels: number
  identity: string
}

/** Tracks of the past that are ready to be heard at the same time, beside those of the roster; the oldest go. */
const PAST_TRACKS = 64

export class Players {
  #players = new Map<number, { player: Player; identity: string; track: string }>()
  /** Handles that are played because of the past alone, the oldest first. */
  #past = new Set<number>()
  #gains = new Map<string, GainNode>()
  #volumes = new Map<string, number>()

  constructor(
    private readonly worker: WorkerPort,
    /** Undefined for a session that does not listen: nothing is played. */
    private readonly output: Output | undefined,
  ) {}

  /** A track of the roster. */
  start(track: PlayedTrack): void {
    this.#past.delete(track.handle)
    this.#play(track)
  }

  /** A track of somebody who left. */
  startPast(track: PlayedTrack): void {
    if (this.#players.has(track.handle)) return
    this.#play(track)
    this.#past.add(track.handle)
    if (this.#past.size > PAST_TRACKS) this.stop([...this.#past][0]!)
  }

  /** The roster does not know it any more, but it may still be heard in the past. */
  keepForPast(handle: number): void {
    if (this.#players.has(handle)) this.#past.add(handle)
  }

  /** Live again: who left is heard no more. */
  stopPast(): void {
    for (const handle of [...this.#past]) this.stop(handle)
  }

  stop(handle: number): void {
    const played = this.#players.get(handle)
    this.#past.delete(handle)
    this.#players.delete(handle)
    this.worker.tell({ type: 'stop', handle })
    played?.player.close()
    if (!played || [...this.#players.values()].some(({ identity }) => identity === played.identity)) return
    this.#gains.get(played.identity)?.disconnect()
    this.#gains.delete(played.identity)
  }

  stopAll(): void {
    for (const handle of [...this.#players.keys()]) this.stop(handle)
  }

  setVolume(identity: string, volume: number): void {
    this.#volumes.set(identity, volume)
    const now = this.output?.context.currentTime ?? 0
    this.#gains.get(identity)?.gain.setTargetAtTime(volume, now, 0.02)
  }

  volume(identity: string): number {
    return this.#volumes.get(identity) ?? 1
  }

  /** By track id. */
  stats(): Record<string, PlayoutStats> {
    const stats: Record<string, PlayoutStats> = {}
    for (const { player, track } of this.#players.values()) if (player.stats) stats[track] = player.stats
    return stats
  }

  #play({ track, handle, channels, identity }: PlayedTrack): void {
    const output = this.output
    if (!output || this.#players.has(handle)) return
    const player = new Player(output.context, channels, this.#gain(output, identity), (port) =>
      this.worker.tell({ type: 'play', handle, channels, port }, [port]),
    )
    this.#players.set(handle, { player, identity, track })
  }

  #gain(output: Output, identity: string): GainNode {
    let gain = this.#gains.get(identity)
    if (!gain) {
      gain = output.context.createGain()
      gain.gain.value = this.volume(identity)
      gain.connect(output.node)
      this.#gains.set(identity, gain)
    }
    return gain
  }
}

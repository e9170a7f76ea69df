// What is heard: packets from the edge to the receivers of their tracks, at once when live, in their time when past.

import { type ReceiverStats, TrackReceiver } from '../audio/receiver'
import { Clocks } from '../past/clocks'
import { Playback, type PlaybackReport } from '../past/playback'
import { handleOf } from '../wire/handle'
import type { EdgeMessage, PlaybackMessage, Skipped } from '../wire/messages'
import { type Packet, decodeMessage } from '../wire/packet'

/** Packets of a track may come a moment before the roster that names it: the last few are kept. */
const EARLY_PACKETS = 25
const EARLY_TRACKS = 32
/** As often as the past is looked at for what is due. */
const TICK_MS = 10

export class Listening {
  #receivers = new Map<number, TrackReceiver>()
  #early = new Map<number, Packet[]>()
  #audible = true
  #clocks = new Clocks()
  #playback: Playback
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(
    private readonly report: (report: PlaybackReport) => void,
    private readonly edgeNow: () => number,
  ) {
    this.#playback = this.#newPlayback()
  }

  /** Where in the past the next socket goes on. */
  get resume(): { from: string; rate: number } | undefined {
    return this.#playback.resume
  }

  play(handle: number, channels: number, port: MessagePort): void {
    this.#receivers.get(handle)?.close()
    const receiver = new TrackReceiver(channels, port)
    receiver.setPast(this.#playback.busy, this.#playback.rate)
    this.#receivers.set(handle, receiver)
    for (const packet of this.#early.get(handle) ?? []) receiver.push(packet)
    this.#early.delete(handle)
  }

  stop(handle: number): void {
    this.#receivers.get(handle)?.close()
    this.#receivers.delete(handle)
  }

  /** Whether the output runs. */
  setAudible(on: boolean): void {
    if (on && !this.#audible) for (const receiver of this.#receivers.values()) receiver.restart()
    this.#audible = on
  }

  packets(bytes: Uint8Array): void {
    for (const packet of decodeMessage(bytes)) this.#playback.push(packet)
  }

  /** Rosters and playback tell when tracks' samples were captured. */
  learn(message: EdgeMessage): void {
    const roster = message.type === 'welcome' ? message.roster : message
    if (roster.type === 'roster') for (const { tracks } of roster.participants ?? []) this.#clocks.know(tracks)
    if (roster.type === 'playback') this.#clocks.know(roster.tracks ?? [])
  }

  /** The right to listen was taken: what has come already is not heard either. */
  silence(): void {
    this.refused()
    this.#early.clear()
    for (const receiver of this.#receivers.values()) receiver.restart()
  }

  playback(message: PlaybackMessage, answered: boolean): void {
    this.learn(message)
    this.#playback.heard(message, answered, performance.now())
    this.#tickWhileBusy()
  }

  windowIs(window: PlaybackReport['window']): void {
    this.#playback.windowIs(window, performance.now())
  }

  refused(): void {
    this.#playback.refused(performance.now())
    this.#tickWhileBusy()
  }

  /** Frames that were left out because this listener was slow are not waited for. In the past the order tells by itself. */
  skipped({ reason, tracks }: Skipped): void {
    if (reason === 'gap') return
    for (const { track } of tracks) this.#receivers.get(handleOf(track) ?? 0)?.skipped()
  }

  stats(): { received: Record<number, ReceiverStats>; pastSkippedMs: number } {
    const received = Object.fromEntries([...this.#receivers].map(([handle, receiver]) => [handle, receiver.stats()]))
    return { received, pastSkippedMs: this.#playback.skippedMs }
  }

  /** Lets go of everything; another room may follow. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    for (const receiver of this.#receivers.values()) receiver.close()
    this.#receivers.clear()
    this.#early.clear()
    this.#clocks.clear()
    this.#playback = this.#newPlayback()
  }

  #newPlayback(): Playback {
    const events = {
      release: (packet: Packet) => this.#release(packet),
      restart: () => {
        this.#early.clear()
        for (const receiver of this.#receivers.values()) receiver.restart()
      },
      paused: () => this.#receivers.forEach((receiver) => receiver.paused()),
      past: (past: boolean, rate: number) => this.#receivers.forEach((receiver) => receiver.setPast(past, rate)),
      report: this.report,
    }
    return new Playback(events, this.edgeNow, this.#clocks)
  }

  #tickWhileBusy(): void {
    if (!this.#playback.busy || this.#timer !== undefined) return
    this.#timer = setInterval(() => {
      this.#playback.tick(performance.now())
      if (this.#playback.busy) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }, TICK_MS)
  }

  #release(packet: Packet): void {
    if (!this.#audible) return
    const receiver = this.#receivers.get(packet.handle)
    if (receiver) receiver.push(packet)
    else this.#keepEarly(packet)
  }

  #keepEarly(packet: Packet): void {
    const kept = this.#early.get(packet.handle) ?? []
    if (kept.length === 0 && this.#early.size >= EARLY_TRACKS) return
    kept.push(packet)
    if (kept.length > EARLY_PACKETS) kept.shift()
    this.#early.set(packet.handle, kept)
  }
}

// A room as the page holds it: who is there, what they publish, how loud each is played, and how the link fares.

import type { AudioSource } from '../audio/input'
import type { PlayoutStats } from '../audio/jitter'
import type { Output } from '../audio/player'
import { Emitter } from '../emitter'
import { AirloomError } from '../errors'
import { placeOf } from '../past/from'
import type { LinkState } from '../net/link'
import type { EdgeMessage, Grants, ParticipantInfo, RoomInfo, Skipped, TrackInfo, Welcome } from '../wire/messages'
import { maySpeak } from '../wire/rights'
import type { Unkept } from '../worker/life'
import type { WorkerPort } from '../worker/port'
import type { FromWorker } from '../worker/protocol'
import { LIVE, type PlaybackWindow, type RewindOptions, type RoomPlayback, playbackOf } from './playback'
import { Players } from './players'
import { Publication } from './publication'
import { Roster, type RosterChange } from './roster'

export interface LinkStatus {
  state: LinkState
  /** Attempts made since the link was last up, and milliseconds until the next. */
  attempt: number
  inMs: number
}

export interface RoomEvents {
  state: LinkStatus
  /** A socket is up. `resumed` false after the first time: the old session was gone and this is a new one. */
  session: { session: string; resumed: boolean }
  roster: RosterChange
  joined: ParticipantInfo
  left: ParticipantInfo
  speaking: { track: string; on: boolean }
  room: RoomInfo
  /** What this session may do has changed; `by` is the moderator's identity, `token` where a newer token says so, else empty. */
  grants: { grants: Grants; by: string }
  /** `away`: live goes on, nothing is being kept at the moment. */
  log: 'away' | 'ok'
  /** Of a track this participant has ended, or lost with its session, so much is in no recording, nor will be. May come long after the end. */
  unkept: Unkept
  /** Where the sound is: each change, and twice a second while it is not live. */
  playback: RoomPlayback
  /** Seqs that will not be heard: this listener was too slow, or the log does not have them. */
  skipped: Skipped
  /** A complaint that did not end the session. */
  notice: AirloomError
  /** The session is over; undefined when this side left. */
  closed: AirloomError | undefined
}

export interface PublishOptions {
  /** `mic`, `music`…: what kind of track it is. */
  name?: string
  /** What others and recordings call it; the participant's own name unless told. Device names are nobody's business. */
  label?: string
  /** Bits per second; 32,000 for one channel, 128,000 for two. */
  bitrate?: number
  /** Send nothing while nobody speaks. */
  gate?: boolean
  muted?: boolean
}

export class Room extends Emitter<RoomEvents> {
  readonly roster = new Roster()
  #status: LinkStatus = { state: 'connecting', attempt: 0, inMs: 0 }
  #log: 'away' | 'ok' = 'ok'
  #self: Pick<Welcome, 'session' | 'identity' | 'name' | 'grants' | 'edge' | 'region'> | undefined
  #publications = new Map<number, Publication>()
  #nextPublication = 0
  #players: Players
  #playback = LIVE
  #clockAheadMs = 0

  constructor(
    private readonly worker: WorkerPort,
    /** Where others are heard; undefined for a session that does not listen. */
    readonly output: Output | undefined,
  ) {
    super()
    this.#players = new Players(worker, output)
    output?.context.addEventListener('statechange', this.#tellAudible)
    this.#tellAudible()
  }

  #tellAudible = (): void => this.worker.tell({ type: 'audible', on: this.output?.running ?? false })

  get status(): LinkStatus {
    return this.#status
  }

  get log(): 'away' | 'ok' {
    return this.#log
  }

  get info(): RoomInfo {
    return this.roster.room!
  }

  get session(): string {
    return this.#self?.session ?? ''
  }

  get identity(): string {
    return this.#self?.identity ?? ''
  }

  get name(): string {
    return this.#self?.name ?? ''
  }

  get grants(): Grants {
    return this.#self?.grants ?? { listen: false, speak: false, record: false, moderate: false }
  }

  /** Whether `publish` is allowed now: by the right to speak and the room's settings. */
  get maySpeak(): boolean {
    return this.roster.room !== undefined && maySpeak(this.grants, this.roster.room)
  }

  get participants(): ParticipantInfo[] {
    return this.roster.participants
  }

  /** Where the sound is: live, or how far in the past. */
  get playback(): RoomPlayback {
    return this.#playback
  }

  /** The edge's clock: `playback.at` and `playback.window` are by it. */
  get now(): Date {
    return new Date(Date.now() + this.#clockAheadMs)
  }

  /**
   * Plays what was said before, from a moment on; others still hear this participant live. Resolves when the sound has moved there;
   * `playback.clamped` says when the moment is not kept. Rejects with not_kept when nothing is, with bad_message for what is no time.
   */
  async rewind({ from, rate }: RewindOptions): Promise<RoomPlayback> {
    await this.worker.ask({ type: 'rewind', ...placeOf(from, rate, this.now.getTime()) })
    return this.#playback
  }

  /** Back to what is said now. */
  async live(): Promise<void> {
    await this.worker.ask({ type: 'rewind', from: 'live', rate: 1 })
  }

  /** From when to when the room can be heard again; null while nothing is kept. */
  async window(): Promise<PlaybackWindow | null> {
    await this.worker.ask({ type: 'window' })
    return this.#playback.window
  }

  /** Starts a track from a source; resolves when the edge knows it. Rejects with forbidden, or speak_taken when the right goes meanwhile. */
  async publish(source: AudioSource, options: PublishOptions = {}): Promise<Publication> {
    const id = ++this.#nextPublication
    const music = source.channels === 2
    const config = {
      name: options.name ?? (source.kind === 'microphone' ? 'mic' : 'music'),
      label: options.label ?? this.name,
      bitrate: options.bitrate ?? (music ? 128_000 : 32_000),
      application: music ? ('audio' as const) : ('voip' as const),
      gate: options.gate ?? false,
      muted: options.muted ?? false,
    }
    const publication = new Publication(
      source,
      config.muted,
      (muted) => this.worker.tell({ type: 'mute', publication: id, muted }),
      async () => {
        await this.worker.ask({ type: 'unpublish', publication: id }).catch(() => {})
        this.#publications.delete(id)
      },
    )
    this.#publications.set(id, publication)
    try {
      await this.worker.ask({ type: 'publish', publication: id, source: source.id, config })
    } catch (error) {
      this.#publications.delete(id)
      throw error
    }
    return publication
  }

  /** How loud an identity is played here, 0–2, 1 as it was sent; kept when its owner comes back. */
  setVolume(identity: string, volume: number): void {
    this.#players.setVolume(identity, volume)
  }

  volume(identity: string): number {
    return this.#players.volume(identity)
  }

  /** How the sound of each track that is played here fares. */
  playout(): Record<string, PlayoutStats> {
    return this.#players.stats()
  }

  /** Ends the session: its tracks end, everybody sees it leave. */
  async leave(): Promise<void> {
    const ends = [...this.#publications.values()].map((publication) => publication.end())
    await Promise.race([Promise.all(ends), new Promise((resolve) => setTimeout(resolve, 1_500))])
    await this.worker.ask({ type: 'leave' })
  }

  /** @internal */
  told(message: FromWorker): void {
    switch (message.type) {
      case 'state':
        this.#status = { state: message.state, attempt: message.attempt, inMs: message.inMs }
        return this.emit('state', this.#status)
      case 'welcome':
        return this.#welcomed(message.welcome)
      case 'message':
        return this.#heard(message.message)
      case 'playback':
        this.#playback = playbackOf(message.playback)
        this.#clockAheadMs = message.playback.clockAheadMs
        if (this.#playback.state === 'live') this.#players.stopPast()
        return this.emit('playback', this.#playback)
      case 'track':
        return this.#publications.get(message.publication)?.isStarted(message.track)
      case 'publish.failed':
        return this.#publications.get(message.publication)?.isFailed(new AirloomError(message.error.code, message.error.message))
      case 'publish.over': {
        const publication = this.#publications.get(message.publication)
        this.#publications.delete(message.publication)
        return publication?.isOver(new AirloomError(message.error.code, message.error.message))
      }
      case 'unkept':
        return this.emit('unkept', message.unkept)
      case 'closed': {
        this.#players.stopAll()
        this.output?.context.removeEventListener('statechange', this.#tellAudible)
        const error = message.error && new AirloomError(message.error.code, message.error.message)
        return this.emit('closed', error)
      }
    }
  }

  #welcomed(welcome: Welcome): void {
    const { session, identity, name, grants, edge, region } = welcome
    const before = this.#self?.grants
    this.#self = { session, identity, name, grants, edge, region }
    const change = this.roster.welcome(welcome)
    this.emit('session', { session, resumed: welcome.resumed })
    this.emit('room', welcome.room)
    if (before && JSON.stringify(before) !== JSON.stringify(grants)) this.emit('grants', { grants, by: '' })
    this.#changed(change)
  }

  #heard(message: Exclude<EdgeMessage, Welcome>): void {
    switch (message.type) {
      case 'roster':
        return this.#changed(this.roster.roster(message))
      case 'speaking':
        for (const track of this.roster.speakingChanged(message.tracks)) {
          this.emit('speaking', { track, on: this.roster.speaking(track) })
        }
        return
      case 'room':
        this.roster.room = message.room
        return this.emit('room', message.room)
      case 'grants':
        if (this.#self) this.#self.grants = message.grants
        return this.emit('grants', { grants: message.grants, by: message.by ?? '' })
      case 'log':
        this.#log = message.state
        return this.emit('log', message.state)
      case 'playback':
        for (const { track, handle, channels, identity, session } of message.tracks ?? []) {
          if (session !== this.session) this.#players.startPast({ track, handle, channels, identity })
        }
        return
      case 'skipped':
        return this.emit('skipped', { reason: message.reason, tracks: message.tracks })
      case 'error':
        return this.emit('notice', new AirloomError(message.code, message.message))
    }
  }

  #changed(change: RosterChange): void {
    for (const { track } of change.tracksEnded) {
      if (this.#playback.state === 'live') this.#players.stop(track.handle)
      else this.#players.keepForPast(track.handle)
    }
    for (const { participant, track } of change.tracksStarted) this.#play(participant, track)
    this.emit('roster', change)
    for (const participant of change.joined) this.emit('joined', participant)
    for (const participant of change.left) this.emit('left', participant)
  }

  #play({ session, identity }: ParticipantInfo, { track, handle, channels }: TrackInfo): void {
    if (session !== this.session) this.#players.start({ track, handle, channels, identity })
  }
}

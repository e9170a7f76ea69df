// A stay in a room as the pages show it: the SDK's events folded into signals.

import { batch, computed, signal } from '@preact/signals'
import type { AudioSource, LinkStatus, ParticipantInfo, Publication, PublishOptions, Room, RoomInfo } from '../../client'
import { AirloomError } from '../../client'
import { rest, saveName, tokenFor } from './access'
import { device } from './device'
import { Past } from './past'
import { Standing } from './standing'
import { unkeptWords, wordsFor } from './words'

export type Phase = 'lobby' | 'joining' | 'live' | 'over'

export interface Person {
  session: string
  identity: string
  name: string
  self: boolean
  away: boolean
  /** Has a track at all; a listener has none. */
  speaks: boolean
  muted: boolean
}

export class Stay {
  readonly phase = signal<Phase>('lobby')
  readonly link = signal<LinkStatus>({ state: 'connecting', attempt: 0, inMs: 0 })
  readonly info = signal<RoomInfo | undefined>(undefined)
  readonly people = signal<Person[]>([])
  readonly speaking = signal<ReadonlySet<string>>(new Set())
  readonly log = signal<'away' | 'ok'>('ok')
  readonly error = signal<unknown>(undefined)
  /** That some of what was said is not kept, until it was read. */
  readonly unkept = signal('')
  /** A word on something that just happened, for a moment. */
  readonly note = signal('')
  readonly source = signal<AudioSource | undefined>(undefined)
  readonly publication = signal<Publication | undefined>(undefined)
  readonly muted = signal(false)
  readonly soundBlocked = signal(false)
  /** Where the sound is; undefined outside of the room. */
  readonly past = signal<Past | undefined>(undefined)
  readonly standing = new Standing((words) => this.say(words))
  readonly lost = computed(() => this.phase.value === 'live' && this.link.value.state !== 'open')
  #room: Room | undefined
  #noteTimer: ReturnType<typeof setTimeout> | undefined
  #offSource: (() => void) | undefined
  #left = false
  #missingMs = 0
  #missingAtMost = false

  constructor(readonly name: string) {}

  /** What is known of the room before entering it. */
  async look(): Promise<void> {
    try {
      const { room, participants, away } = await rest.room(this.name)
      if (this.phase.value !== 'lobby') return
      batch(() => {
        this.info.value = room
        this.#fold([...(participants ?? []), ...(away ?? [])], '')
      })
    } catch (error) {
      if (this.phase.value === 'lobby') this.error.value = error
    }
  }

  async openMicrophone(config: { deviceId?: string; profile?: 'voice' | 'music' }): Promise<void> {
    await this.#open(() => device().openMicrophone(config))
  }

  async openFile(file: File, loop: boolean): Promise<void> {
    await this.#open(() => device().openFile(file, { loop }))
  }

  async join(name: string): Promise<void> {
    if (this.phase.value !== 'lobby' && this.phase.value !== 'over') return
    batch(() => {
      this.phase.value = 'joining'
      this.error.value = undefined
    })
    saveName(name)
    this.#left = false
    try {
      const room = await device().join({
        edge: location.origin,
        room: this.name,
        name,
        token: () => tokenFor(this.name, name),
        onState: (status) => (this.link.value = status),
      })
      if (this.#left) return void room.leave()
      this.#entered(room)
      await this.publish()
    } catch (error) {
      batch(() => {
        if (this.phase.value === 'joining') this.phase.value = 'lobby'
        this.error.value = error
      })
    }
  }

  /** Goes live with the source that is open, if there is one. */
  async publish(options: PublishOptions = {}): Promise<void> {
    const source = this.source.value
    if (!source || !this.#room || this.publication.value) return
    try {
      const publication = await this.#room.publish(source, options)
      publication.on('failed', (error) => this.#failed(error))
      publication.on('ended', () => this.#ended(source))
      batch(() => {
        this.publication.value = publication
        this.muted.value = publication.muted
      })
    } catch (error) {
      this.#failed(error)
      if (this.source.value === source) this.closeSource()
    }
  }

  setMuted(muted: boolean): void {
    this.publication.value?.setMuted(muted)
    this.muted.value = muted
  }

  volume(identity: string): number {
    return this.#room?.volume(identity) ?? 1
  }

  setVolume(identity: string, volume: number): void {
    this.#room?.setVolume(identity, volume)
  }

  async startSound(): Promise<void> {
    this.soundBlocked.value = !(await device().output.resume())
  }

  closeSource(): void {
    const publication = this.publication.value
    const source = this.source.value
    this.source.value = undefined
    void (publication?.end() ?? Promise.resolve()).then(() => source?.close())
  }

  /** Leaves the room and lets the microphone go. */
  async leave(): Promise<void> {
    this.#left = true
    this.#offSource?.()
    await this.#room?.leave().catch(() => {})
    this.source.value?.close()
    batch(() => {
      this.source.value = undefined
      this.publication.value = undefined
      this.phase.value = 'over'
    })
  }

  async #open(open: () => Promise<AudioSource>): Promise<void> {
    this.error.value = undefined
    try {
      const source = await open()
      this.closeSource()
      this.#offSource = source.on('ended', () => this.#sourceEnded(source))
      this.source.value = source
      await this.publish()
    } catch (error) {
      this.error.value = error
    }
  }

  #failed(error: unknown): void {
    // That the right was taken, the standing says, for as long as it is so.
    if (!(error instanceof AirloomError && error.code === 'speak_taken')) this.error.value = error
  }

  #ended(source: AudioSource): void {
    batch(() => {
      this.publication.value = undefined
      if (source.closed && this.source.value === source) this.source.value = undefined
    })
  }

  #sourceEnded(source: AudioSource): void {
    if (this.source.value !== source) return
    this.say(source.kind === 'file' ? 'The file is at its end' : 'The microphone is gone')
    this.closeSource()
  }

  #entered(room: Room): void {
    this.#room = room
    room.on('state', (status) => {
      if (status.state === 'open' && this.link.value.state === 'reconnecting') this.say('Connected again')
      this.link.value = status
    })
    room.on('session', ({ resumed }) => {
      if (!resumed) this.say('You were away for too long and joined anew')
    })
    room.on('room', (info) => (this.info.value = info))
    room.on('log', (log) => (this.log.value = log))
    room.on('unkept', ({ missingMs, atMost }) => this.#lost(missingMs, atMost))
    room.on('roster', () => this.#fold(room.participants, room.session))
    room.on('speaking', () => this.#foldSpeaking(room))
    room.on('notice', (error) => console.warn(`airloom: ${error.code}: ${error.message}`))
    room.on('closed', (error) => this.#closed(error))
    const past = room.output && new Past(room, (words) => this.say(words), (error) => this.say(wordsFor(error).title))
    room.output?.context.addEventListener('statechange', () => (this.soundBlocked.value = !room.output?.running))
    this.standing.enter(room, this.info.value, this.source.value !== undefined)
    if (!room.maySpeak) this.closeSource()
    batch(() => {
      this.phase.value = 'live'
      this.past.value = past
      this.link.value = room.status
      this.info.value = room.info
      this.soundBlocked.value = room.output ? !room.output.running : false
      this.#fold(room.participants, room.session)
    })
  }

  /** It adds up until it was read. */
  #lost(missingMs: number, atMost: boolean): void {
    const more = this.unkept.value !== ''
    this.#missingMs = missingMs + (more ? this.#missingMs : 0)
    this.#missingAtMost = atMost || (more && this.#missingAtMost)
    this.unkept.value = unkeptWords(this.#missingMs, this.#missingAtMost)
  }

  #closed(error: AirloomError | undefined): void {
    this.#room = undefined
    this.source.value?.close()
    this.past.value?.close()
    batch(() => {
      this.past.value = undefined
      this.source.value = undefined
      this.publication.value = undefined
      this.speaking.value = new Set()
      this.phase.value = 'over'
      if (error) this.error.value = error
    })
  }

  #fold(participants: ParticipantInfo[], self: string): void {
    this.people.value = participants
      .map(({ session, identity, name, away, tracks }) => ({
        session,
        identity,
        name: name || identity,
        self: session === self,
        away,
        speaks: tracks.length > 0,
        muted: tracks.length > 0 && tracks.every((track) => track.muted),
      }))
      .sort((a, b) => Number(b.self) - Number(a.self) || Number(b.speaks) - Number(a.speaks))
    if (this.#room) this.#foldSpeaking(this.#room)
  }

  #foldSpeaking(room: Room): void {
    const sessions = room.participants.filter((p) => p.tracks.some((t) => !t.muted && room.roster.speaking(t.track)))
    this.speaking.value = new Set(sessions.map((p) => p.session))
  }

  /** Shows a word for a moment. */
  say(words: string): void {
    this.note.value = words
    clearTimeout(this.#noteTimer)
    this.#noteTimer = setTimeout(() => (this.note.value = ''), 5_000)
  }
}

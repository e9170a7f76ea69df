// A session's link to the fabric: over one socket, or two while it moves, or none while it comes back. The session
// outlives its sockets; what was asked and not answered is asked again on the next one, under the same id.

import { AirloomError, comesBack } from '../errors'
import { PROTOCOL, type PlaybackMessage, type Request, type ResumedTrack, type Welcome } from '../wire/messages'
import { backoffMs } from './backoff'
import { Connection, type SocketLike } from './connection'
import { HeldAcks } from './held'
import { type Answer, type Asked, Requests } from './requests'
import { Standing } from './standing'
import { expiryOf } from './token'

export type LinkState = 'connecting' | 'open' | 'reconnecting' | 'closed'

/** A place in the past, and how fast it is played from there. */
export interface Place {
  from: string
  rate: number
}

export interface LinkConfig {
  /** ws: or wss: address of /v1/ws. */
  url: string
  room: string
  listen: boolean
  name?: string
  agent?: string
  /** Where a listener begins, as docs/wire.md §4 has it; live unless told. */
  begin?: Place | undefined
  /** Gives a token that is good now; asked again before it ends. */
  token(): Promise<string>
  open?(url: string): SocketLike
  random?(): number
}

export interface LinkEvents {
  state(state: LinkState, attempt: number, inMs: number): void
  /** Once per socket. `welcome.resumed` false after an earlier welcome: the old session is gone. */
  welcome(welcome: Welcome): void
  message(message: Answer): void
  packets(bytes: Uint8Array): void
  /** Where this socket's sound is; `answered` when a request to listen led there. */
  playback(message: PlaybackMessage, answered: boolean): void
  /** Where in the past the next socket goes on; undefined when live. */
  past(): Place | undefined
  /** The end: no more attempts. Undefined after `leave` or `close`. */
  closed(error: AirloomError | undefined): void
  /** What this session still publishes, for a resuming hello; what goes on comes first, for not more than eight are named. */
  tracks(): ResumedTrack[]
}

/** Ask for a newer token when the old one has less than this to live. */
const TOKEN_MARGIN_S = 60
const HELLO_MS = 10_000
/** A session may have so many at a time: an edge refuses a hello that names more, for good. */
const MAX_TRACKS = 8

export class Link {
  #config: LinkConfig
  #events: LinkEvents
  #current: Connection | undefined
  #coming: Connection | undefined
  #requests = new Requests()
  #held = new HeldAcks()
  /** Where listening begins, until the edge has said where it did. */
  #begin: Place | undefined
  #attempt = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #helloTimer: ReturnType<typeof setTimeout> | undefined
  #state: LinkState = 'connecting'
  #token: string | undefined
  #tokenEnds = 0
  #tokenRenewed = false
  #resume: string | undefined
  #leaving = false
  roundTripMs = 0
  /** What to add to Date.now() to get the edge's clock. */
  clockAheadMs = 0
  readonly standing = new Standing()

  constructor(config: LinkConfig, events: LinkEvents) {
    this.#config = config
    this.#begin = config.begin
    this.#events = events
  }

  get state(): LinkState {
    return this.#state
  }

  get open(): boolean {
    return this.#current?.open ?? false
  }

  /** Bytes handed to the socket that have not left yet. */
  get bufferedAmount(): number {
    return this.#current?.bufferedAmount ?? 0
  }

  start(): void {
    this.#events.state('connecting', 0, 0)
    void this.#connect()
  }

  /** Sends packets on the current socket; false when there is none. */
  sendPackets(bytes: Uint8Array): boolean {
    if (!this.open) return false
    this.#current!.sendPackets(bytes)
    return true
  }

  /** Resolves with the answer; rejects with the edge's error, or `session_lost` when the session did not outlive its socket. */
  request(request: Request): Promise<Answer> {
    if (this.#state === 'closed') return Promise.reject(new AirloomError('closed', 'the link is closed'))
    return this.#requests.ask(request, (message) => this.open && this.#current!.send(message))
  }

  /** Ends the session. Resolves when the edge has said so, or after `withinMs` without it. */
  async leave(withinMs = 1_000): Promise<void> {
    this.#leaving = true
    if (this.open) {
      const timeout = new Promise((resolve) => setTimeout(resolve, withinMs))
      await Promise.race([this.request({ type: 'leave' }).catch(() => {}), timeout])
    }
    this.close()
  }

  /** Lets go of the sockets; the session may be resumed elsewhere for 30 s. */
  close(error?: AirloomError): void {
    if (this.#state === 'closed') return
    this.#setState('closed')
    clearTimeout(this.#timer)
    clearTimeout(this.#helloTimer)
    this.#current?.drop()
    this.#coming?.drop()
    this.#requests.rejectAll(error ?? new AirloomError('closed', 'the link is closed'))
    this.#events.closed(error)
  }

  /** The network is said to be back: do not wait for the timer. */
  hurry(): void {
    if (this.#timer === undefined || this.#state === 'closed') return
    clearTimeout(this.#timer)
    this.#timer = undefined
    void this.#connect()
  }

  async #connect(): Promise<void> {
    let token: string
    try {
      token = await this.#freshToken()
    } catch (error) {
      if (error instanceof AirloomError && error.code !== 'network') return this.close(error)
      return this.#retry()
    }
    if (this.#state === 'closed') return
    this.#dial(token)
  }

  #dial(token: string): void {
    const { room, listen, name, agent } = this.#config
    const hello: Asked = { type: 'hello', id: this.#requests.nextId(), protocol: PROTOCOL, token, room, listen }
    if (name) hello.name = name
    if (agent) hello.agent = agent
    if (this.#resume) {
      hello.resume = this.#resume
      hello.tracks = this.#events.tracks().slice(0, MAX_TRACKS)
    }
    Object.assign(hello, this.#events.past() ?? this.#begin)
    const open = this.#config.open ?? ((url) => new WebSocket(url) as SocketLike)
    const connection: Connection = new Connection(open(this.#config.url), hello, () => this.#requests.nextId(), {
      welcome: (welcome) => this.#welcomed(connection, welcome),
      message: (message) => this.#heard(connection, message),
      packets: (bytes) => this.#events.packets(bytes),
      roundTrip: (ms, ahead) => {
        this.roundTripMs = ms
        this.clockAheadMs = ahead
      },
      closed: (code, error) => this.#lost(connection, code, error),
    })
    this.#coming?.drop()
    this.#coming = connection
    clearTimeout(this.#helloTimer)
    this.#helloTimer = setTimeout(() => {
      if (this.#coming !== connection) return
      connection.drop()
      this.#lost(connection, 1006, new AirloomError('network', 'no answer to hello'))
    }, HELLO_MS)
  }

  #welcomed(connection: Connection, welcome: Welcome): void {
    clearTimeout(this.#helloTimer)
    const lost = this.#resume !== undefined && !welcome.resumed
    this.#coming = undefined
    this.#current?.drop() // a move: the new socket is up, the old one has done its work
    this.#current = connection
    this.#resume = welcome.resume
    this.#tokenEnds = welcome.expires_unix
    this.#tokenRenewed = false
    this.#attempt = 0
    this.standing.heard(welcome)
    if (lost) this.#requests.rejectAll(new AirloomError('session_lost', 'the session did not outlive its socket'))
    this.#setState('open')
    const knows = this.#events.tracks().map(({ track }) => track)
    this.#requests.repeat(welcome.tracks ?? [], knows, (message) => connection.send(message))
    this.#believe(welcome.tracks ?? [])
    this.#events.welcome(welcome)
  }

  #heard(connection: Connection, message: Answer): void {
    if (message.type === 'ack' && this.#coming && connection !== this.#coming) return this.#held.hold(message)
    if (message.type === 'playback' || (message.type === 'error' && message.code === 'not_kept')) this.#begin = undefined
    if (message.type === 'playback') this.#events.playback(message, this.#requests.awaits(message))
    if (this.#requests.answered(message) || message.type === 'playback') return
    if (message.type === 'move') return void this.#connect()
    if (message.type === 'token') return void this.#refresh()
    this.standing.heard(message)
    this.#events.message(message)
  }

  #lost(connection: Connection, code: number, error: AirloomError): void {
    const wasCurrent = connection === this.#current
    if (wasCurrent) this.#current = undefined
    if (connection === this.#coming) {
      this.#coming = undefined
      this.#believe() // no move: the edge before goes on
    } else if (!wasCurrent) return
    if (this.#state === 'closed') return
    if (this.#leaving) return this.close()
    if (code === 4401 && !this.#tokenRenewed) {
      this.#tokenRenewed = true // the token may have ended on the way: a new one, once
      this.#token = undefined
      return void this.#connect()
    }
    if (!comesBack(code)) return this.close(error)
    if (this.#current?.open || this.#coming) return // the other of two overlapping sockets is still there
    if (code === 1013) this.#attempt = Math.max(this.#attempt, 3)
    this.#retry()
  }

  /** Takes the acks that waited for the end of a move, but for tracks that go on elsewhere. */
  #believe(goesOn?: { track: string }[]): void {
    for (const ack of this.#held.take(goesOn)) this.#events.message(ack)
  }

  #retry(): void {
    const wait = backoffMs(this.#attempt, (this.#config.random ?? Math.random)())
    this.#setState(this.#resume ? 'reconnecting' : 'connecting', this.#attempt, wait)
    this.#attempt++
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.#connect()
    }, wait)
  }

  async #freshToken(): Promise<string> {
    const old = this.#token
    if (old && Date.now() / 1_000 < this.#tokenEnds - TOKEN_MARGIN_S) return old
    this.#token = await this.#config.token()
    return this.#token
  }

  async #refresh(): Promise<void> {
    try {
      const token = await this.#config.token()
      await this.request({ type: 'refresh', token })
      this.#token = token
      this.#tokenEnds = expiryOf(token) // the answer says no more than ok
    } catch {
      // The edge closes with 4401 when the old token ends; #lost then asks for a new one.
    }
  }

  #setState(state: LinkState, attempt = 0, inMs = 0): void {
    this.#state = state
    this.#events.state(state, attempt, inMs)
  }
}

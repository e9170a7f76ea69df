// The HTTP side of an edge, as far as a participant needs it. Errors are problem documents (RFC 9457).

import { AirloomError } from '../errors'
import type { Grants, ParticipantInfo, RoomInfo } from '../wire/messages'

export interface RoomSummary extends Omit<RoomInfo, 'speak'> {
  present: number
  away: number
  tracks: number
}

export interface RoomState {
  room: RoomInfo
  participants: ParticipantInfo[]
  away: ParticipantInfo[]
  tracks: number
  position: number
}

export interface RecordedTrack {
  track: string
  identity: string
  name: string
  label: string
  frames: number
  missing: number
  seconds: number
  /** Name for `recordingFile`; empty while there is none. */
  file: string
  bytes: number
}

export interface Recording {
  recording: string
  room: string
  state: 'open' | 'closed'
  started: string
  /** Null while it is open. */
  stopped: string | null
  seconds: number
  tracks: RecordedTrack[]
}

export interface IssuedToken {
  token: string
  identity: string
  expires_unix: number
}

export interface TokenRequest {
  /** A room, or `*` for all. */
  room: string
  identity?: string
  name?: string
  /** What it allows; an edge on one's own machine allows all to whom it asks nothing. */
  grants?: Partial<Grants & { /** May make tokens itself, never wider ones. */ mint: boolean }>
  ttl_seconds?: number
}

/** A refused HTTP request; `code` is the problem's own, else unauthorized, forbidden or http_<status>. */
export class HttpError extends AirloomError {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    code?: string,
  ) {
    super(code ?? (status === 401 ? 'unauthorized' : status === 403 ? 'forbidden' : `http_${status}`), detail || title)
  }
}

/** A list comes in pages; this many at most are read. */
const MAX_PAGES = 20

export class Rest {
  constructor(
    /** The edge's origin, such as https://audio.example.org. */
    readonly base: string,
    /** A token to show with each request, or undefined for none. */
    private readonly bearer: () => Promise<string | undefined> = async () => undefined,
  ) {}

  /** Asks for a token, with another one that has the mint right, or with none where the edge gives tokens to anybody. */
  token(request: TokenRequest, bearer?: string): Promise<IssuedToken> {
    return this.#json('/v1/tokens', { method: 'POST', body: JSON.stringify(request) }, bearer)
  }

  rooms(): Promise<RoomSummary[]> {
    return this.#pages('/v1/rooms', 'rooms', (room: RoomSummary) => room.room)
  }

  async room(room: string): Promise<RoomState> {
    return this.#json(`/v1/rooms/${encodeURIComponent(room)}`, {}, await this.bearer())
  }

  recordings(): Promise<Recording[]> {
    return this.#pages('/v1/recordings', 'recordings', (recording: Recording) => recording.recording)
  }

  async recordingFile(recording: string, file: string): Promise<Blob> {
    const path = `/v1/recordings/${encodeURIComponent(recording)}/files/${file.split('/').map(encodeURIComponent).join('/')}`
    return (await this.#fetch(path, {}, await this.bearer())).blob()
  }

  async #pages<T>(path: string, field: string, key: (item: T) => string): Promise<T[]> {
    const all: T[] = []
    for (let page = 0; page < MAX_PAGES; page++) {
      const after = all.length > 0 ? `?after=${encodeURIComponent(key(all.at(-1)!))}` : ''
      const answer = await this.#json<Record<string, T[] | null> & { more?: boolean }>(path + after, {}, await this.bearer())
      all.push(...(answer[field] ?? []))
      if (!answer.more) break
    }
    return all
  }

  async #json<T>(path: string, init: RequestInit, bearer: string | undefined): Promise<T> {
    return (await this.#fetch(path, init, bearer)).json() as Promise<T>
  }

  async #fetch(path: string, init: RequestInit, bearer: string | undefined): Promise<Response> {
    const headers = new Headers({ Accept: 'application/json, */*;q=0.5' })
    if (init.body) headers.set('Content-Type', 'application/json')
    if (bearer) headers.set('Authorization', `Bearer ${bearer}`)
    let response: Response
    try {
      response = await fetch(new URL(path, this.base), { ...init, headers })
    } catch (error) {
      throw new AirloomError('network', `${path}: ${(error as Error).message}`)
    }
    if (response.ok) return response
    const problem = (await response.json().catch(() => ({}))) as { title?: string; detail?: string; code?: string }
    throw new HttpError(response.status, problem.title ?? response.statusText, problem.detail ?? '', problem.code)
  }
}

/** The WebSocket address of the edge at an http(s) origin. */
export function socketUrl(base: string | URL): string {
  const url = new URL('/v1/ws', base)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return url.href
}

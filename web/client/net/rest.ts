// The HTTP side of an edge, as far as a participant needs it. Errors are problem documents (RFC 9457).

import { AirloomError } from '../errors'
import type { ParticipantInfo, RoomInfo } from '../wire/messages'

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
  stopped: string
  seconds: number
  tracks: RecordedTrack[]
}

export interface IssuedToken {
  token: string
  identity: string
  expires_unix: number
}

/** A refused HTTP request; `code` is unauthorized, forbidden, network or http_<status>. */
export class HttpError extends AirloomError {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(status === 401 ? 'unauthorized' : status === 403 ? 'forbidden' : `http_${status}`, detail || title)
  }
}

export class Rest {
  constructor(
    /** The edge's origin, such as https://audio.example.org. */
    readonly base: string,
    /** A token to show, or undefined for none. */
    private readonly bearer: () => string | undefined = () => undefined,
  ) {}

  token(room: string, who: { identity?: string; name?: string } = {}): Promise<IssuedToken> {
    return this.#json('/v1/tokens', { method: 'POST', body: JSON.stringify({ room, ...who }) })
  }

  async rooms(): Promise<RoomSummary[]> {
    return (await this.#json<{ rooms: RoomSummary[] | null }>('/v1/rooms')).rooms ?? []
  }

  room(room: string): Promise<RoomState> {
    return this.#json(`/v1/rooms/${encodeURIComponent(room)}`)
  }

  async recordings(): Promise<Recording[]> {
    return (await this.#json<{ recordings: Recording[] | null }>('/v1/recordings')).recordings ?? []
  }

  async recordingFile(recording: string, file: string): Promise<Blob> {
    const path = `/v1/recordings/${encodeURIComponent(recording)}/files/${file.split('/').map(encodeURIComponent).join('/')}`
    return (await this.#fetch(path)).blob()
  }

  async #json<T>(path: string, init?: RequestInit): Promise<T> {
    return (await this.#fetch(path, init)).json() as Promise<T>
  }

  async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers({ Accept: 'application/json' })
    if (init.body) headers.set('Content-Type', 'application/json')
    const bearer = this.bearer()
    if (bearer) headers.set('Authorization', `Bearer ${bearer}`)
    let response: Response
    try {
      response = await fetch(new URL(path, this.base), { ...init, headers })
    } catch (error) {
      throw new AirloomError('network', `${path}: ${(error as Error).message}`)
    }
    if (response.ok) return response
    const problem = (await response.json().catch(() => ({}))) as { title?: string; detail?: string }
    throw new HttpError(response.status, problem.title ?? response.statusText, problem.detail ?? '')
  }
}

/** The WebSocket address of the edge at an http(s) origin. */
export function socketUrl(base: string | URL): string {
  const url = new URL('/v1/ws', base)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return url.href
}

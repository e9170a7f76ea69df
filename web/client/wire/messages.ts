// The text messages of docs/wire.md §3, as types. The comments there hold; here is only the shape.

export const PROTOCOL = 1

export interface Grants {
  listen: boolean
  speak: boolean
  record: boolean
  moderate: boolean
}

export type Keep = 'none' | 'rewind' | 'record'

export interface RoomInfo {
  room: string
  keep: Keep
  capacity: number
  closed: boolean
  /** The id of the recording that runs, or "". */
  recording: string
  speak: 'granted' | 'moderators'
}

export interface Clock {
  timestamp: number
  unix_us: number
}

export interface TrackInfo {
  track: string
  handle: number
  name: string
  label: string
  channels: number
  frame_ms: number
  epoch: number
  muted: boolean
  clock: Clock | null
}

export interface ParticipantInfo {
  session: string
  identity: string
  name: string
  away: boolean
  joined: string
  grants: Grants
  tracks: TrackInfo[]
}

/** Seqs are −1 where there is none. */
export interface ResumedTrack {
  track: string
  epoch: number
  acked: number
}

/** One of a session's own tracks, as the edge knows it. */
export interface OwnTrack extends ResumedTrack {
  handle: number
  name: string
  muted: boolean
}

export type Request =
  | {
      type: 'hello'
      protocol: number
      token: string
      room: string
      listen: boolean
      name?: string
      resume?: string
      traceparent?: string
      agent?: string
      tracks?: ResumedTrack[]
      from?: string
      rate?: number
    }
  | { type: 'track.start'; name: string; channels: number; frame_ms: number; epoch: number; clock?: Clock; label?: string }
  | { type: 'track.mute'; track: string; muted: boolean }
  | { type: 'track.end'; track: string; epoch: number; last: number }
  | { type: 'gap'; track: string; epoch: number; from: number; to: number }
  | { type: 'listen'; on: boolean; from?: string; rate?: number }
  | { type: 'window' }
  | { type: 'refresh'; token: string }
  | { type: 'leave' }
  | { type: 'ping'; t: number }

export interface Roster {
  type: 'roster'
  position: number
  full: boolean
  participants: ParticipantInfo[]
  gone: string[]
}

export interface Welcome {
  type: 'welcome'
  re: number
  protocol: number
  session: string
  identity: string
  name: string
  resume: string
  resumed: boolean
  grants: Grants
  expires_unix: number
  edge: string
  region: string
  unix_us: number
  room: RoomInfo
  roster: Roster
  tracks?: OwnTrack[] | null
  /** Tracks that the hello named and that have ended: a `closed` follows for each. */
  over?: string[] | null
}

/** From when to when the room's sound can be heard again (RFC 3339); null while nothing is kept. */
export interface TimeWindow {
  from: string | null
  to: string | null
}

/** A track that is heard in the past and that the roster knows no more. */
export interface PastTrack {
  track: string
  handle: number
  name: string
  label: string
  channels: number
  frame_ms: number
  epoch: number
  session: string
  identity: string
  /** The name its speaker had. */
  participant: string
  clock?: Clock | null
}

export type Clamped = 'before_window' | 'after_window'

/** Where this socket's sound is. */
export interface PlaybackMessage {
  type: 'playback'
  re?: number
  state: 'past' | 'waiting' | 'live'
  /** The time at which the log took it, RFC 3339. */
  at?: string | null
  window?: TimeWindow | null
  rate?: number
  clamped?: Clamped | null
  tracks?: PastTrack[] | null
}

/** Seqs that will not come to this socket: it was too slow, or the log does not have them. */
export interface Skipped {
  reason: 'slow' | 'gap'
  tracks: { track: string; epoch: number; from: number; to: number }[]
}

export type EdgeMessage =
  | Welcome
  | Roster
  | { type: 'track'; re: number; track: string; handle: number; epoch: number }
  | { type: 'ok'; re: number }
  | { type: 'pong'; re: number; t: number; unix_us: number }
  | { type: 'ack'; track: string; epoch: number; seq: number }
  | { type: 'resend'; track: string; epoch: number; from: number }
  | { type: 'closed'; track: string; epoch: number; acked: number; kept: number }
  | { type: 'log'; state: 'away' | 'ok' }
  | { type: 'room'; room: RoomInfo }
  | { type: 'grants'; grants: Grants; by?: string }
  | { type: 'speaking'; tracks: Record<string, boolean> }
  | ({ type: 'skipped' } & Skipped)
  | PlaybackMessage
  | ({ type: 'window'; re?: number } & TimeWindow)
  | { type: 'token'; expires_unix: number }
  | { type: 'move'; within_ms: number }
  | { type: 'error'; re?: number; code: string; message: string; fatal?: boolean }

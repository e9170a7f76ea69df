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
    }
  | { type: 'track.start'; name: string; channels: number; frame_ms: number; epoch: number; clock?: Clock; label?: string }
  | { type: 'track.mute'; track: string; muted: boolean }
  | { type: 'track.end'; track: string; epoch: number; last: number }
  | { type: 'gap'; track: string; epoch: number; from: number; to: number }
  | { type: 'listen'; on: boolean }
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
}

export type EdgeMessage =
  | Welcome
  | Roster
  | { type: 'track'; re: number; track: string; handle: number; epoch: number }
  | { type: 'ok'; re: number }
  | { type: 'pong'; re: number; t: number; unix_us: number }
  | { type: 'ack'; track: string; epoch: number; seq: number }
  | { type: 'resend'; track: string; epoch: number; from: number }
  | { type: 'log'; state: 'away' | 'ok' }
  | { type: 'room'; room: RoomInfo }
  | { type: 'speaking'; tracks: Record<string, boolean> }
  | { type: 'skipped'; tracks: { track: string; epoch: number; from: number; to: number }[] }
  | { type: 'token'; expires_unix: number }
  | { type: 'move'; within_ms: number }
  | { type: 'error'; re?: number; code: string; message: string; fatal?: boolean }

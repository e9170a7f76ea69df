// What the page and its worker say to each other. The worker owns the socket, the codecs and all that is timed; the page
// owns the microphone's permission, the audio output and the roster.

import type { Level } from '../audio/meter'
import type { ReceiverStats } from '../audio/receiver'
import type { LinkState, Place } from '../net/link'
import type { EdgeMessage, Welcome } from '../wire/messages'
import type { PlaybackReport } from '../past/playback'
import type { Unkept } from './life'
import type { PublishConfig, PublisherStats } from './publisher'

export type SourceInput =
  | { kind: 'stream'; readable: ReadableStream<AudioData> }
  | { kind: 'port'; port: MessagePort }
  | { kind: 'file'; channels: Float32Array[]; loop: boolean }

export interface JoinConfig {
  url: string
  room: string
  listen: boolean
  name: string
  agent: string
  /** Where a listener begins; undefined for live. */
  begin: Place | undefined
}

/** With `call` the worker answers with `done` or `failed`. */
export type ToWorker =
  | { type: 'join'; config: JoinConfig }
  | { type: 'token'; call: number; token: string }
  | { type: 'token'; call: number; failed: { code: string; message: string } }
  | { type: 'leave'; call: number }
  | { type: 'listen'; call: number; on: boolean }
  /** As docs/wire.md §4 has `from`. */
  | { type: 'rewind'; call: number; from: string; rate: number }
  | { type: 'window'; call: number }
  | { type: 'source'; source: number; channels: 1 | 2; input: SourceInput }
  | { type: 'source.close'; source: number }
  | { type: 'publish'; call: number; publication: number; source: number; config: PublishConfig }
  | { type: 'mute'; publication: number; muted: boolean }
  | { type: 'unpublish'; call: number; publication: number }
  | { type: 'play'; handle: number; channels: number; port: MessagePort }
  | { type: 'stop'; handle: number }
  /** Whether the output runs; while it does not, nothing is decoded, or it would pile up before the output. */
  | { type: 'audible'; on: boolean }
  | { type: 'hurry' }
  | { type: 'stats'; call: number }

export interface WorkerStats {
  roundTripMs: number
  clockAheadMs: number
  bufferedAmount: number
  published: PublisherStats[]
  received: Record<number, ReceiverStats>
  /** Milliseconds of the past left out because more came than was heard. */
  pastSkippedMs: number
}

export type FromWorker =
  | { type: 'ready' }
  | { type: 'state'; state: LinkState; attempt: number; inMs: number }
  | { type: 'welcome'; welcome: Welcome }
  | { type: 'message'; message: Exclude<EdgeMessage, Welcome> }
  | { type: 'playback'; playback: PlaybackReport }
  | { type: 'closed'; error: { code: string; message: string } | undefined }
  | { type: 'token.wanted'; call: number }
  | { type: 'level'; source: number; level: Level }
  | { type: 'source.ended'; source: number }
  | { type: 'track'; publication: number; track: string }
  | { type: 'publish.failed'; publication: number; error: { code: string; message: string } }
  /** The track has ended, and not by this side's wish. */
  | { type: 'publish.over'; publication: number; error: { code: string; message: string } }
  /** Of a track that has ended some is in no recording, nor will be. */
  | { type: 'unkept'; unkept: Unkept }
  | { type: 'done'; call: number; value: unknown }
  | { type: 'failed'; call: number; error: { code: string; message: string } }

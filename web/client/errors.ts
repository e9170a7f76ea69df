// What can go wrong, by code. The pages turn codes into words; the message is for the console.

export type ErrorCode =
  // from the edge (docs/wire.md §3.4)
  | 'unauthorized'
  | 'forbidden'
  | 'auth_timeout'
  | 'replaced'
  | 'room_closed'
  | 'room_full'
  | 'protocol_version'
  | 'kicked'
  | 'bad_room'
  | 'rate'
  | 'slow'
  | 'log_away'
  | 'not_kept'
  | 'not_supported'
  | 'bad_message'
  | 'protocol'
  // from this side
  | 'session_lost'
  | 'speak_taken'
  | 'network'
  | 'microphone_refused'
  | 'microphone_missing'
  | 'microphone_busy'
  | 'unsupported'
  | 'file_unreadable'
  | 'codec'
  | 'closed'
  // any other code an edge may send
  | (string & {})

export class AirloomError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    /** For `unsupported`: what the browser lacks. */
    readonly missing: string[] = [],
  ) {
    super(message)
    this.name = 'AirloomError'
  }
}

const BY_CLOSE: Record<number, ErrorCode> = {
  1002: 'protocol',
  1003: 'protocol',
  1007: 'protocol',
  1008: 'rate',
  1009: 'protocol',
  4401: 'unauthorized',
  4403: 'forbidden',
  4408: 'auth_timeout',
  4409: 'replaced',
  4410: 'room_closed',
  4423: 'room_full',
  4426: 'protocol_version',
}

/** The error a close code stands for, when no `error` message said it better. */
export const closeError = (code: number, reason: string): AirloomError =>
  new AirloomError(BY_CLOSE[code] ?? 'network', reason || `the socket closed with ${code}`)

/** Whether a participant comes back after this close code (docs/wire.md §3.4). */
export const comesBack = (code: number): boolean => !(code in BY_CLOSE) && !(code >= 4400 && code < 4500)

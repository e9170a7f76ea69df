// One WebSocket from opening to close: it says hello, tells what comes in, and notices when the other side went silent.

import { AirloomError, closeError } from '../errors'
import type { EdgeMessage, Welcome } from '../wire/messages'

/** The part of a browser's WebSocket that is used. */
export interface SocketLike {
  binaryType: BinaryType
  readonly bufferedAmount: number
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
}

export interface ConnectionEvents {
  welcome(welcome: Welcome): void
  message(message: Exclude<EdgeMessage, Welcome>): void
  packets(bytes: Uint8Array): void
  roundTrip(ms: number, unixMsAhead: number): void
  /** Once, however it ended. `code` is the close code, 1006 when there was none. */
  closed(code: number, error: AirloomError): void
}

const PING_MS = 2_000
/** Without a word for this long the socket counts as lost. */
const SILENT_MS = 6_000

export class Connection {
  #socket: SocketLike
  #events: ConnectionEvents
  #welcomed = false
  #ended = false
  #lastHeard = Date.now()
  #timer: ReturnType<typeof setInterval>
  #said: AirloomError | undefined
  #pingId: () => number

  constructor(socket: SocketLike, hello: object, nextId: () => number, events: ConnectionEvents) {
    this.#socket = socket
    this.#events = events
    this.#pingId = nextId
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
      this.#lastHeard = Date.now()
      socket.send(JSON.stringify(hello))
    }
    socket.onmessage = (event) => this.#heard(event.data)
    socket.onclose = (event) => this.#end(event.code, event.reason)
    this.#timer = setInterval(() => this.#beat(), PING_MS)
  }

  get open(): boolean {
    return this.#welcomed && !this.#ended
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount
  }

  send(message: object): void {
    if (!this.#ended) this.#socket.send(JSON.stringify(message))
  }

  sendPackets(bytes: Uint8Array): void {
    if (!this.#ended) this.#socket.send(bytes as Uint8Array<ArrayBuffer>)
  }

  /** Lets go without telling anyone: `closed` is not called. */
  drop(code = 1000): void {
    if (this.#ended) return
    this.#ended = true
    clearInterval(this.#timer)
    this.#socket.onmessage = null
    this.#socket.close(code)
  }

  #heard(data: string | ArrayBuffer): void {
    if (this.#ended) return
    this.#lastHeard = Date.now()
    if (typeof data !== 'string') return this.#events.packets(new Uint8Array(data))
    const message = JSON.parse(data) as EdgeMessage
    switch (message.type) {
      case 'welcome':
        this.#welcomed = true
        this.#events.welcome(message)
        this.#beat()
        break
      case 'pong': {
        const now = Date.now()
        const trip = now - message.t
        this.#events.roundTrip(trip, message.unix_us / 1_000 - (message.t + trip / 2))
        break
      }
      case 'error':
        if (message.fatal || !this.#welcomed) this.#said = new AirloomError(message.code, message.message)
        this.#events.message(message)
        break
      default:
        this.#events.message(message)
    }
  }

  #beat(): void {
    if (Date.now() - this.#lastHeard > SILENT_MS) {
      this.#socket.onclose = null
      this.#socket.onmessage = null
      this.#socket.close()
      return this.#end(1006, 'nothing heard for 6 s')
    }
    if (this.open) this.send({ type: 'ping', id: this.#pingId(), t: Date.now() })
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    clearInterval(this.#timer)
    this.#events.closed(code, this.#said ?? closeError(code, reason))
  }
}

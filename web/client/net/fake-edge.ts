// A test double of an edge: it speaks just enough of docs/wire.md for the SDK's unit tests. The browser tests use the real one.

import { WebSocket, WebSocketServer } from 'ws'
import { type Packet, decodeMessage } from '../wire/packet'
import type { Grants, Keep } from '../wire/messages'
import type { SocketLike } from './connection'

/** Node has no WebSocket of its own yet: hand this to the link. */
export function openSocket(url: string): SocketLike {
  const socket = new WebSocket(url)
  socket.on('error', () => {}) // a close follows
  return socket as unknown as SocketLike
}

export interface FakeSocket {
  hello: any
  requests: any[]
  packets: Packet[]
  send(message: object): void
  close(code: number, reason?: string): void
  /** Dies without a close frame, as a cable does. */
  cut(): void
}

export class FakeEdge {
  readonly sockets: FakeSocket[] = []
  /** Requests that are not answered by themselves. */
  readonly mute = new Set<string>()
  /** Requests that are carried out, but the answer gets lost. */
  readonly swallow = new Set<string>()
  /** Answer hello with this instead of a welcome. */
  refuse: { code: string; close: number } | undefined
  /** Hellos wait for `greet`. */
  slow = false
  /** Sessions end with their sockets: nothing can be resumed. */
  forgetful = false
  acked: Record<string, number> = {}
  /** Tracks that have ended by the next hello: its welcome says so. */
  over: string[] = []
  keep: Keep = 'record'
  /** What welcomes grant; who may not speak has no tracks any more. */
  grants: Grants = { listen: true, speak: true, record: false, moderate: false }
  /** Seconds that tokens have to live. */
  expiresIn = 900
  #server: WebSocketServer
  #session = 0
  #handle = 0
  #tracks: { track: string; handle: number; name: string; epoch: number; acked: number; muted: boolean }[] = []
  #waiting: (() => void)[] = []

  private constructor(port: number) {
    this.#server = new WebSocketServer({ port, host: '127.0.0.1' })
    this.#server.on('connection', (socket) => this.#connected(socket))
  }

  static async start(port = 0): Promise<FakeEdge> {
    const edge = new FakeEdge(port)
    await new Promise((resolve) => edge.#server.once('listening', resolve))
    return edge
  }

  /** Answers the newest hello. */
  greet(): void {
    this.slow = false
    this.#hello(this.last, this.last.hello)
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as { port: number }).port}/v1/ws`
  }

  get last(): FakeSocket {
    return this.sockets.at(-1)!
  }

  async stop(): Promise<void> {
    for (const client of this.#server.clients) client.terminate()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** Resolves once `check` gives something; it is tried whenever anything arrives. */
  async until<T>(check: () => T | undefined | false): Promise<T> {
    for (;;) {
      const value = check()
      if (value) return value
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #connected(socket: WebSocket): void {
    const fake: FakeSocket = {
      hello: undefined,
      requests: [],
      packets: [],
      send: (message) => socket.send(JSON.stringify(message)),
      close: (code, reason) => socket.close(code, reason),
      cut: () => socket.terminate(),
    }
    this.sockets.push(fake)
    socket.on('message', (data: Buffer, binary) => {
      if (binary) fake.packets.push(...decodeMessage(new Uint8Array(data)))
      else this.#heard(fake, JSON.parse(data.toString()))
      for (const wake of this.#waiting.splice(0)) wake()
    })
  }

  #heard(socket: FakeSocket, message: any): void {
    if (message.type === 'ping') return socket.send({ type: 'pong', re: message.id, t: message.t, unix_us: Date.now() * 1_000 })
    if (message.type === 'hello') return this.#hello(socket, message)
    socket.requests.push(message)
    if (this.mute.has(message.type)) return
    if (message.type !== 'track.start') return socket.send({ type: 'ok', re: message.id })
    const handle = ++this.#handle
    const track = `track${handle}`
    this.#tracks.push({ track, handle, name: message.name, epoch: message.epoch, acked: -1, muted: false })
    if (this.swallow.has(message.type)) return
    socket.send({ type: 'track', re: message.id, track, handle, epoch: message.epoch })
  }

  #hello(socket: FakeSocket, message: any): void {
    socket.hello = message
    if (this.slow) return
    if (this.refuse) {
      socket.send({ type: 'error', re: message.id, code: this.refuse.code, message: 'refused', fatal: true })
      return socket.close(this.refuse.close)
    }
    const resumed = message.resume !== undefined && !this.forgetful
    if (!resumed) this.#session++
    if (!resumed || !this.grants.speak) this.#tracks = []
    this.#tracks = this.#tracks.filter(({ track }) => !this.over.includes(track))
    const tracks = this.#tracks.map((t) => ({ ...t, acked: this.acked[t.track] ?? -1 }))
    const room = { room: message.room, keep: this.keep, capacity: 0, closed: false, recording: '', speak: 'granted' }
    socket.send({
      type: 'welcome',
      re: message.id,
      protocol: 1,
      session: `session${this.#session}`,
      identity: 'me',
      name: message.name ?? '',
      resume: `secret${this.sockets.length}`,
      resumed,
      grants: this.grants,
      expires_unix: Date.now() / 1_000 + this.expiresIn,
      edge: 'fake',
      region: 'local',
      unix_us: Date.now() * 1_000,
      room,
      roster: { type: 'roster', position: 1, full: true, participants: [], gone: [] },
      tracks,
      over: this.over,
    })
  }
}

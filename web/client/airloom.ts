// The way in: one Airloom per page holds the worker, the audio output, the sources that are open and the room it is in.

import { decodeFile } from './audio/file'
import { AudioSource } from './audio/input'
import { type MicrophoneConfig, captureInput, openMicrophone } from './audio/microphone'
import { Output } from './audio/player'
import { AirloomError } from './errors'
import { type From, placeOf } from './past/from'
import { socketUrl } from './net/rest'
import { type LinkStatus, Room } from './room/room'
import { WorkerPort } from './worker/port'
import type { FromWorker, SourceInput, WorkerStats } from './worker/protocol'
import type { PlayoutStats } from './audio/jitter'

export interface AirloomConfig {
  /** Where worker.js and worklet.js are served; beside this module unless told. */
  assets?: { worker?: string | URL; worklet?: string | URL }
}

export interface JoinOptions {
  /** The edge's origin, such as https://audio.example.org. */
  edge: string | URL
  room: string
  /** Gives a token for the room; asked again when the old one is about to end. */
  token: () => Promise<string>
  /** The name others see. */
  name?: string
  /** Hear the others; true unless told. */
  listen?: boolean
  /**
   * Where listening begins: the oldest that is kept, so many seconds ago, or a moment; live unless told. `room.playback` says where it is.
   * Where nothing is kept it is live, with the notice not_kept.
   */
  from?: From
  /** With `from`: 1 (unless told) keeps the distance to live; more, up to 16, comes nearer and goes on live. */
  rate?: number
  /** Tells of the link while joining; the room's own `state` event tells the same afterwards. */
  onState?: (status: LinkStatus) => void
}

/** For debugging and measuring; fields may be added. */
export interface Stats extends WorkerStats {
  /** By track id. */
  playout: Record<string, PlayoutStats>
  /** What the browser says lies between its output and the ear. */
  outputLatencyMs: number
}

const AGENT = 'airloom-web/0.1'

export class Airloom {
  #assets: { worker: string | URL; worklet: string | URL }
  #port: WorkerPort | undefined
  #output: Output | undefined
  #sources = new Map<number, AudioSource>()
  #nextSource = 0
  #room: Room | undefined
  #token: (() => Promise<string>) | undefined
  #joining: { resolve(): void; reject(error: AirloomError): void; onState?: JoinOptions['onState'] } | undefined

  constructor({ assets = {} }: AirloomConfig = {}) {
    const beside = (file: string) => new URL(file, import.meta.url)
    this.#assets = { worker: assets.worker ?? beside('worker.js'), worklet: assets.worklet ?? beside('worklet.js') }
  }

  /** The audio output, made when first asked for. */
  get output(): Output {
    return (this.#output ??= new Output(this.#assets.worklet))
  }

  get room(): Room | undefined {
    return this.#room
  }

  /** The microphones and files that are open. */
  get sources(): AudioSource[] {
    return [...this.#sources.values()]
  }

  /** Asks for a microphone. Throws microphone_refused, microphone_missing, microphone_busy or unsupported. */
  async openMicrophone(config: MicrophoneConfig = {}): Promise<AudioSource> {
    const track = await openMicrophone(config)
    const { input, release } = await captureInput(track, async () => {
      await this.output.ready
      await this.output.resume()
      return this.output.context
    })
    const source = this.#addSource('microphone', track.label, config.profile === 'music' ? 2 : 1, track, input, release)
    track.addEventListener('ended', () => source.over())
    return source
  }

  /** Decodes a whole audio file; it runs, in real time, from now on. Throws file_unreadable. */
  async openFile(file: Blob, { loop = false, label = '' } = {}): Promise<AudioSource> {
    const channels = await decodeFile(file)
    const input: SourceInput = { kind: 'file', channels, loop }
    return this.#addSource('file', label || (file instanceof File ? file.name : ''), channels.length > 1 ? 2 : 1, undefined, input, () => {})
  }

  /** Enters a room. Rejects with what the edge says: room_full, room_closed, unauthorized…; bad_message for what is no place or rate. Keeps trying while the network is away. */
  async join(options: JoinOptions): Promise<Room> {
    if (this.#room) throw new AirloomError('closed', 'already in a room: leave it first')
    const { edge, room: name, token, listen = true, onState } = options
    // The edge's clock is not known yet: it counts seconds back by itself.
    const begin = listen && options.from !== undefined ? placeOf(options.from, options.rate, Date.now()) : undefined
    const output = listen ? this.output : undefined
    const room = new Room(this.#worker, output)
    this.#room = room
    this.#token = token
    void output?.resume() // counts as started by the click that led here
    try {
      await output?.ready
      await new Promise<void>((resolve, reject) => {
        this.#joining = { resolve, reject, onState }
        const config = { url: socketUrl(edge), room: name, listen, name: options.name ?? '', agent: AGENT, begin }
        this.#worker.tell({ type: 'join', config })
      })
    } catch (error) {
      this.#room = undefined
      if (error instanceof AirloomError) throw error
      throw new AirloomError('unsupported', `load worklet.js: ${(error as Error).message}`, ['worklet.js'])
    }
    return room
  }

  /** How everything fares at this moment. */
  async stats(): Promise<Stats> {
    const worker = await this.#worker.ask<WorkerStats>({ type: 'stats' })
    const context = this.#output?.context
    const latency = (context?.outputLatency ?? 0) + (context?.baseLatency ?? 0)
    return { ...worker, playout: this.#room?.playout() ?? {}, outputLatencyMs: latency * 1_000 }
  }

  /** Leaves the room and lets go of everything. */
  async close(): Promise<void> {
    await this.#room?.leave().catch(() => {})
    this.#room = undefined
    for (const source of this.#sources.values()) source.close()
    this.#port?.close()
    this.#port = undefined
    await this.#output?.close()
    this.#output = undefined
  }

  get #worker(): WorkerPort {
    return (this.#port ??= new WorkerPort(
      this.#assets.worker,
      (message) => this.#heard(message),
      (error) => this.#closed(error),
    ))
  }

  #addSource(
    kind: AudioSource['kind'],
    label: string,
    channels: 1 | 2,
    track: MediaStreamTrack | undefined,
    input: SourceInput,
    release: () => void,
  ): AudioSource {
    const id = ++this.#nextSource
    const source = new AudioSource(id, kind, label, channels, track, () => {
      release()
      this.#port?.tell({ type: 'source.close', source: id })
      this.#sources.delete(id)
    })
    this.#sources.set(id, source)
    const transfer: Transferable[] =
      input.kind === 'stream' ? [input.readable] : input.kind === 'port' ? [input.port] : input.channels.map((c) => c.buffer as ArrayBuffer)
    this.#worker.tell({ type: 'source', source: id, channels, input }, transfer)
    return source
  }

  #heard(message: FromWorker): void {
    switch (message.type) {
      case 'level':
        return this.#sources.get(message.source)?.heard(message.level)
      case 'source.ended':
        return this.#sources.get(message.source)?.over()
      case 'token.wanted':
        return void this.#giveToken(message.call)
      case 'state':
        this.#joining?.onState?.(message)
        break
      case 'closed':
        if (this.#joining) return this.#closed(new AirloomError(message.error?.code ?? 'closed', message.error?.message ?? 'left'))
    }
    const room = this.#room
    room?.told(message)
    if (message.type === 'welcome') {
      this.#joining?.resolve()
      this.#joining = undefined
    }
    if (message.type === 'closed') this.#room = undefined
  }

  /** The worker is gone, or joining came to nothing. */
  #closed(error: AirloomError): void {
    const joining = this.#joining
    const room = this.#room
    this.#joining = undefined
    this.#room = undefined
    if (joining) joining.reject(error)
    else room?.told({ type: 'closed', error: { code: error.code, message: error.message } })
  }

  async #giveToken(call: number): Promise<void> {
    try {
      const token = await this.#token!()
      this.#worker.tell({ type: 'token', call, token })
    } catch (error) {
      const { code, message } = error instanceof AirloomError ? error : { code: 'unauthorized', message: String(error) }
      this.#worker.tell({ type: 'token', call, failed: { code, message } })
    }
  }
}

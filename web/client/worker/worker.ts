// The worker's entry: routes what the page asks to the link, the sources, the publishers and the receivers.

import { Source } from '../audio/source'
import { AirloomError } from '../errors'
import { Link } from '../net/link'
import { windowOf } from '../past/playback'
import type { EdgeMessage, Grants, Welcome } from '../wire/messages'
import { Listening } from './listening'
import type { FromWorker, JoinConfig, SourceInput, ToWorker, WorkerStats } from './protocol'
import { type PublishConfig, Publisher } from './publisher'
import { Remains } from './remains'

const tell = (message: FromWorker) => self.postMessage(message)
const plain = (error: unknown) =>
  error instanceof AirloomError ? { code: error.code, message: error.message } : { code: 'codec', message: String(error) }

class Engine {
  #link: Link | undefined
  /** Joined to hear the others: where the right comes back, so does their sound. */
  #listens = false
  #mayListen = true
  #sources = new Map<number, Source>()
  #publishers = new Map<number, Publisher>()
  #remains = new Remains((unkept) => tell({ type: 'unkept', unkept }))
  #listening = new Listening(
    (playback) => tell({ type: 'playback', playback }),
    () => Date.now() + (this.#link?.clockAheadMs ?? 0),
  )
  #tokens = new Map<number, { resolve(token: string): void; reject(error: AirloomError): void }>()
  #tokenCall = 0

  async handle(message: ToWorker): Promise<unknown> {
    switch (message.type) {
      case 'join':
        return this.#join(message.config)
      case 'token': {
        const waiting = this.#tokens.get(message.call)
        this.#tokens.delete(message.call)
        if ('token' in message) waiting?.resolve(message.token)
        else waiting?.reject(new AirloomError(message.failed.code, message.failed.message))
        return
      }
      case 'leave':
        return this.#leave()
      case 'listen':
        return this.#link?.request({ type: 'listen', on: message.on }).then(() => undefined)
      case 'rewind':
        return this.#rewind(message.from, message.rate)
      case 'window':
        return this.#window()
      case 'source':
        return this.#open(message.source, message.channels, message.input)
      case 'source.close':
        this.#sources.get(message.source)?.close()
        this.#sources.delete(message.source)
        return
      case 'publish':
        return this.#publish(message.publication, message.source, message.config)
      case 'mute':
        this.#publishers.get(message.publication)?.setMuted(message.muted)
        return
      case 'unpublish': {
        const publisher = this.#publishers.get(message.publication)
        await publisher?.end()
        this.#publishers.delete(message.publication)
        return
      }
      case 'play':
        return this.#listening.play(message.handle, message.channels, message.port)
      case 'stop':
        return this.#listening.stop(message.handle)
      case 'audible':
        return this.#listening.setAudible(message.on)
      case 'hurry':
        this.#link?.hurry()
        return
      case 'stats':
        return this.#stats()
    }
  }

  #join(config: JoinConfig): void {
    this.#link?.close()
    this.#listening.close()
    this.#listens = config.listen
    const link: Link = new Link(
      { ...config, token: () => this.#token() },
      {
        state: (state, attempt, inMs) => tell({ type: 'state', state, attempt, inMs }),
        welcome: (welcome) => this.#welcomed(welcome),
        message: (message) => this.#heard(message),
        packets: (bytes) => this.#listening.packets(bytes),
        playback: (message, answered) => {
          tell({ type: 'message', message }) // first: it names the tracks that are heard
          this.#listening.playback(message, answered)
        },
        past: () => this.#listening.resume,
        closed: (error) => {
          for (const publisher of this.#publishers.values()) publisher.giveUp()
          this.#remains.close()
          tell({ type: 'closed', error: error && plain(error) })
        },
        tracks: () => [...[...this.#publishers.values()].flatMap((p) => p.resumable), ...this.#remains.resumable],
      },
    )
    this.#link = link
    link.start()
  }

  async #leave(): Promise<void> {
    await this.#link?.leave()
    for (const publisher of this.#publishers.values()) publisher.close()
    this.#publishers.clear()
    this.#listening.close()
    this.#link = undefined
  }

  #open(id: number, channels: 1 | 2, input: SourceInput): void {
    const source = new Source(
      channels,
      (level) => tell({ type: 'level', source: id, level }),
      () => tell({ type: 'source.ended', source: id }),
    )
    this.#sources.set(id, source)
    if (input.kind === 'stream') source.readStream(input.readable).catch(() => tell({ type: 'source.ended', source: id }))
    else if (input.kind === 'port') source.readPort(input.port)
    else source.playFile(input.channels, input.loop)
  }

  async #publish(id: number, sourceId: number, config: PublishConfig): Promise<void> {
    const source = this.#sources.get(sourceId)
    if (!source || !this.#link) throw new AirloomError('closed', 'publish needs an open source and a joined room')
    const publisher = new Publisher(this.#link, source, config, {
      started: (track) => tell({ type: 'track', publication: id, track }),
      failed: (error) => tell({ type: 'publish.failed', publication: id, error: plain(error) }),
      over: (error) => {
        this.#publishers.delete(id)
        tell({ type: 'publish.over', publication: id, error: plain(error) })
      },
      rest: (life) => this.#remains.take(life),
    })
    this.#publishers.set(id, publisher)
    try {
      await publisher.start()
    } catch (error) {
      publisher.close()
      this.#publishers.delete(id)
      throw error
    }
  }

  async #rewind(from: string, rate: number): Promise<void> {
    if (!this.#link) throw new AirloomError('closed', 'rewind needs a joined room')
    const answer = await this.#link.request({ type: 'listen', on: true, from, rate })
    if (answer.type !== 'playback') throw new AirloomError('not_supported', 'this edge cannot rewind: it is older than this page')
  }

  async #window(): Promise<void> {
    if (!this.#link) throw new AirloomError('closed', 'a window needs a joined room')
    const answer = await this.#link.request({ type: 'window' })
    if (answer.type !== 'window') throw new AirloomError('not_supported', 'this edge cannot rewind: it is older than this page')
    this.#listening.windowIs(windowOf(answer))
  }

  #welcomed(welcome: Welcome): void {
    this.#listening.learn(welcome)
    tell({ type: 'welcome', welcome })
    this.#mayListen = welcome.grants.listen
    if (!this.#mayListen) this.#listening.silence()
    for (const publisher of this.#publishers.values()) publisher.welcomed(welcome)
    this.#remains.welcomed(welcome)
  }

  #heard(message: Exclude<EdgeMessage, Welcome>): void {
    for (const publisher of this.#publishers.values()) publisher.heard(message)
    this.#remains.heard(message)
    if (message.type === 'ack' || message.type === 'resend' || message.type === 'closed') return
    this.#listening.learn(message)
    if (message.type === 'grants') this.#granted(message.grants)
    if (message.type === 'window') return this.#listening.windowIs(windowOf(message))
    if (message.type === 'skipped') this.#listening.skipped(message)
    if (message.type === 'error' && message.code === 'not_kept') this.#listening.refused()
    tell({ type: 'message', message })
  }

  #granted({ listen }: Grants): void {
    if (listen === this.#mayListen) return
    this.#mayListen = listen
    if (!listen) this.#listening.silence()
    else if (this.#listens) this.#link?.request({ type: 'listen', on: true }).catch(() => {}) // refused: taken again meanwhile
  }

  #token(): Promise<string> {
    const call = ++this.#tokenCall
    return new Promise((resolve, reject) => {
      this.#tokens.set(call, { resolve, reject })
      tell({ type: 'token.wanted', call })
    })
  }

  #stats(): WorkerStats {
    return {
      roundTripMs: this.#link?.roundTripMs ?? 0,
      clockAheadMs: this.#link?.clockAheadMs ?? 0,
      bufferedAmount: this.#link?.bufferedAmount ?? 0,
      published: [...[...this.#publishers.values()].flatMap((p) => p.stats() ?? []), ...this.#remains.stats],
      ...this.#listening.stats(),
    }
  }
}

const engine = new Engine()
self.addEventListener('online', () => void engine.handle({ type: 'hurry' }))
self.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  const call = 'call' in data && data.type !== 'token' ? data.call : undefined
  try {
    const value = await engine.handle(data)
    if (call !== undefined) tell({ type: 'done', call, value })
  } catch (error) {
    if (call !== undefined) tell({ type: 'failed', call, error: plain(error) })
    else console.error(error)
  }
}
tell({ type: 'ready' })

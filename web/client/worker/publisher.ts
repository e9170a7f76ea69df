// One track that this session publishes: the source's frames go through a coder into the outbox, and it sees the outbox emptied. It
// starts the track anew, under a new id, when the session did not outlive its socket; it is over when the right to speak is taken.

import { AirloomError } from '../errors'
import { FRAME_MS, type Heard, type Source } from '../audio/source'
import type { Link } from '../net/link'
import { type Item, Outbox } from '../net/outbox'
import type { EdgeMessage, ResumedTrack, Welcome } from '../wire/messages'
import { type CoderConfig, TrackCoder } from './coder'
import { GapTeller } from './gap'

export interface PublishConfig extends CoderConfig {
  /** `mic`, `music`… */
  name: string
  label: string
  muted: boolean
}

export interface PublisherStats {
  track: string
  epoch: number
  sent: number
  acked: number
  unackedMs: number
  resent: number
  gaps: number
}

export interface PublisherEvents {
  /** Each time the track has an id: at first, and again when it was started anew. */
  started(track: string): void
  /** The encoder failed and was replaced. */
  failed(error: AirloomError): void
  /** Nothing is sent any more, and not because this side ended it: the right to speak was taken, or the edge refuses the track. */
  over(error: AirloomError): void
}

const PUMP_MS = 100
/** Sound that may wait in the socket before new frames are held back for the backlog. */
const CONGESTED_MS = 250
const RETRY_MS = 1_000
/** When a room begins to keep, an ack within this time says that nothing from before is missing. */
const FIRST_ACK_MS = 2_000

/** One life of the track on the edge: from `track.start` to its end or the session's. */
interface Life {
  id: string
  outbox: Outbox
  gaps: GapTeller
  coder: TrackCoder
}

export class Publisher {
  #life: Life | undefined
  #muted: boolean
  #ended = false
  #over: AirloomError | undefined
  #starting = false
  #unsubscribe: () => void
  #pump: ReturnType<typeof setInterval>
  #gapsTold = 0

  constructor(
    private readonly link: Link,
    readonly source: Source,
    readonly config: PublishConfig,
    private readonly events: PublisherEvents,
  ) {
    this.#muted = config.muted
    this.#unsubscribe = source.onFrame((frame) => this.#frame(frame))
    this.#pump = setInterval(() => this.#pumpBacklog(), PUMP_MS)
  }

  get id(): string | undefined {
    return this.#life?.id
  }

  get resumable(): ResumedTrack[] {
    const life = this.#life
    return life ? [{ track: life.id, epoch: life.outbox.track.epoch, acked: life.outbox.acked }] : []
  }

  /** Resolves when the edge knows the track; rejects with why it never will. */
  async start(): Promise<void> {
    if (this.#starting || this.#ended) return
    this.#starting = true
    try {
      while (!this.#ended && !this.#life) await this.#startTrack().catch(tryAgainOr)
    } finally {
      this.#starting = false
    }
    if (this.#over) throw this.#over
  }

  setMuted(muted: boolean): void {
    this.#muted = muted
    const track = this.#life?.id
    if (track) this.link.request({ type: 'track.mute', track, muted }).catch(() => {})
  }

  /** Stops sending and ends the track; resolves when all of it is in the log, or the log is away. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.#unsubscribe()
    const life = this.#life
    if (life) {
      await life.coder.flush()
      life.gaps.due() // the end waits for acks, and they for the gap
      const last = life.coder.next - 1
      await this.link.request({ type: 'track.end', track: life.id, epoch: life.outbox.track.epoch, last }).catch(() => {})
    }
    this.close()
  }

  close(): void {
    this.#ended = true
    this.#unsubscribe()
    clearInterval(this.#pump)
    this.#life?.coder.close()
  }

  /** A socket is up: send again what is not acked, or start over when the session is a new one. */
  welcomed(welcome: Welcome): void {
    if (!this.link.standing.speaks) return this.#taken()
    const life = this.#life
    if (!life) return this.#startAgain()
    const known = welcome.resumed ? welcome.tracks?.find((t) => t.track === life.id) : undefined
    if (known) {
      this.#followKeep(life)
      if (known.epoch === life.outbox.track.epoch) life.outbox.ack(known.acked)
      life.outbox.resend()
      life.gaps.due()
      this.#pumpBacklog()
      return
    }
    this.#dropLife()
    if (this.#ended) return this.close()
    this.#startAgain()
  }

  heard(message: EdgeMessage): void {
    if ((message.type === 'grants' || message.type === 'room') && !this.link.standing.speaks) return this.#taken()
    const life = this.#life
    if (!life) return
    if (message.type === 'room') return this.#followKeep(life)
    if (message.type === 'log' && message.state === 'ok') return life.gaps.due()
    if (message.type !== 'ack' && message.type !== 'resend') return
    if (message.track !== life.id || message.epoch !== life.outbox.track.epoch) return
    if (message.type === 'ack') life.outbox.ack(message.seq)
    else life.outbox.resend(message.from)
    life.gaps.due()
  }

  stats(): PublisherStats | undefined {
    const life = this.#life
    if (!life) return undefined
    const { acked, unackedMs, resent, track } = life.outbox
    return { track: life.id, epoch: track.epoch, sent: life.coder.next, acked, unackedMs, resent, gaps: this.#gapsTold + life.gaps.told }
  }

  /** The edge has ended the track by itself: from now on each frame sent would count against this session. */
  #taken(): void {
    this.#finish(new AirloomError('speak_taken', 'the right to speak in this room was taken: the track has ended'))
  }

  #finish(error: AirloomError): void {
    if (this.#ended) return
    this.#over = error
    this.close()
    this.#dropLife()
    this.events.over(error)
  }

  #startAgain(): void {
    this.start().catch((error) => this.#finish(error))
  }

  #dropLife(): void {
    this.#life?.coder.close()
    this.#gapsTold += this.#life?.gaps.told ?? 0
    this.#life = undefined
  }

  #followKeep(life: Life): void {
    life.outbox.setKept(this.link.standing.keeps)
    if (life.outbox.gap) life.gaps.due(FIRST_ACK_MS)
  }

  async #startTrack(): Promise<void> {
    const { name, label } = this.config
    const { channels, clock } = this.source
    const answer = await this.link.request({
      type: 'track.start',
      name,
      label,
      channels,
      frame_ms: FRAME_MS,
      epoch: 0,
      // The edge's clock is the better one: a laptop's may be minutes off.
      ...(clock && { clock: { timestamp: clock.timestamp, unix_us: Math.round(clock.unixUs + this.link.clockAheadMs * 1_000) } }),
    })
    if (answer.type !== 'track') throw new AirloomError('protocol', `track.start was answered with ${answer.type}`)
    if (this.#ended) {
      // Ended before it was there: the edge has a track now that nobody speaks on.
      void this.link.request({ type: 'track.end', track: answer.track, epoch: answer.epoch, last: -1 }).catch(() => {})
      return
    }
    const outbox = new Outbox({ handle: answer.handle, epoch: answer.epoch, frameMs: FRAME_MS })
    outbox.setKept(this.link.standing.keeps)
    const gaps = new GapTeller(outbox, (gap) => this.link.request({ type: 'gap', track: answer.track, epoch: answer.epoch, ...gap }))
    const coder = new TrackCoder(this.config, channels, (item) => this.#send(outbox, item), this.events.failed)
    this.#life = { id: answer.track, outbox, gaps, coder }
    if (this.#muted) this.setMuted(true)
    this.events.started(answer.track)
  }

  #frame(frame: Heard): void {
    if (!this.#ended) this.#life?.coder.frame(frame, this.#muted)
  }

  #send(outbox: Outbox, item: Item): void {
    const bytes = outbox.push(item, this.link.open && !this.#congested)
    if (bytes) this.link.sendPackets(bytes)
  }

  get #congested(): boolean {
    const soundBytes = (this.config.bitrate / 8) * (CONGESTED_MS / 1_000)
    return this.link.bufferedAmount > soundBytes + 4_096
  }

  #pumpBacklog(): void {
    const life = this.#life
    if (!life || !this.link.open) return
    while (!this.#congested) {
      const message = life.outbox.backlog()
      if (!message) break
      this.link.sendPackets(message)
    }
    if (!this.link.standing.logAway) life.gaps.poll()
  }
}

/** What passes by itself is waited for; any other refusal stands. */
async function tryAgainOr(error: AirloomError): Promise<void> {
  if (error.code === 'log_away') await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  else if (error.code !== 'session_lost') throw error
}

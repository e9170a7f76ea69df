// One track that this session publishes: the source's frames go through a coder into the outbox, and it sees the outbox emptied. It
// starts the track anew, under a new id, when the session did not outlive its socket; it is over when the right to speak is taken. Of a track
// that has ended, or was ended for it, it lets go at once: what is not acked of it then is the business of Remains.

import { AirloomError } from '../errors'
import { FRAME_MS, type Heard, type Source } from '../audio/source'
import type { Link } from '../net/link'
import { type Item, Outbox } from '../net/outbox'
import type { EdgeMessage, ResumedTrack, Welcome } from '../wire/messages'
import { type CoderConfig, TrackCoder } from './coder'
import { GapTeller } from './gap'
import { Life, type LifeStats } from './life'

export interface PublishConfig extends CoderConfig {
  /** `mic`, `music`… */
  name: string
  label: string
  muted: boolean
}

export type PublisherStats = LifeStats

export interface PublisherEvents {
  /** Each time the track has an id: at first, and again when it was started anew. */
  started(track: string): void
  /** The encoder failed and was replaced. */
  failed(error: AirloomError): void
  /** Nothing is sent any more, and not because this side ended it: the right to speak was taken, or the edge refuses the track. */
  over(error: AirloomError): void
  /** No frames come to this track any more; what is not acked of it is still to be sent, or to be told of. */
  rest(life: Life): void
}

const PUMP_MS = 100
const RETRY_MS = 1_000

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
    this.#pump = setInterval(() => this.#life?.pump(), PUMP_MS)
  }

  get id(): string | undefined {
    return this.#life?.id
  }

  get resumable(): ResumedTrack[] {
    return this.#life ? [this.#life.resumable] : []
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

  /** Takes no more frames and ends the track; resolves when all of it is in the log, or the log is away. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.#unsubscribe()
    await this.#life?.coder.flush()
    const ended = this.#life?.end()
    this.#part()
    this.close()
    await ended
  }

  close(): void {
    this.#ended = true
    this.#unsubscribe()
    clearInterval(this.#pump)
    this.#life?.coder.close()
  }

  /** The session is over: nobody will say any more what is kept. */
  giveUp(): void {
    this.#life?.giveUp()
    this.#part()
    this.close()
  }

  /** A socket is up: send again what is not acked, or start over when the session is a new one. */
  welcomed(welcome: Welcome): void {
    if (!this.link.standing.speaks) return this.#taken()
    const life = this.#life
    if (!life) return this.#startAgain()
    const fate = life.welcomed(welcome)
    if (fate === 'on') return
    if (fate === 'gone') life.giveUp()
    this.#part()
    if (!this.#ended) this.#startAgain()
  }

  heard(message: EdgeMessage): void {
    if ((message.type === 'grants' || message.type === 'room') && !this.link.standing.speaks) return this.#taken()
    const life = this.#life
    if (!life) return
    if (message.type !== 'closed' || message.track !== life.id) return life.heard(message)
    this.#part() // whoever has it now hears this too
    if (!this.#ended) this.#startAgain()
  }

  stats(): PublisherStats | undefined {
    const life = this.#life
    return life && { ...life.stats, gaps: this.#gapsTold + life.gaps.told }
  }

  /** The edge has ended the track by itself: from now on each frame sent would count against this session. */
  #taken(): void {
    this.#finish(new AirloomError('speak_taken', 'the right to speak in this room was taken: the track has ended'))
  }

  #finish(error: AirloomError): void {
    if (this.#ended) return
    this.#over = error
    this.close()
    this.#part() // what the edge took of it is still acked, or told as lost
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

  /** Lets go of a track to which no more frames come. */
  #part(): void {
    const life = this.#life
    this.#dropLife()
    life?.stop()
    if (life) this.events.rest(life)
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
    const coder = new TrackCoder(this.config, channels, (item) => this.#send(life, item), this.events.failed)
    const life: Life = new Life(this.link, answer.track, outbox, gaps, coder, this.config.bitrate)
    this.#life = life
    if (this.#muted) this.setMuted(true)
    this.events.started(answer.track)
  }

  #frame(frame: Heard): void {
    if (!this.#ended) this.#life?.coder.frame(frame, this.#muted)
  }

  #send(life: Life, item: Item): void {
    const bytes = life.outbox.push(item, this.link.open && !life.congested)
    if (bytes) this.link.sendPackets(bytes)
  }
}

/** What passes by itself is waited for; any other refusal stands. */
async function tryAgainOr(error: AirloomError): Promise<void> {
  if (error.code === 'log_away') await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  else if (error.code !== 'session_lost') throw error
}

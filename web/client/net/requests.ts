// What was asked of the edge and not answered yet. It outlives the socket it was asked on: on the next one it is asked again,
// under the same id. So does what was said of tracks that have ended: an edge that dies while the log is away takes their ends with it.

import { AirloomError } from '../errors'
import type { EdgeMessage, OwnTrack, Request, Welcome } from '../wire/messages'

export type Answer = Exclude<EdgeMessage, Welcome>
export type Asked = Request & { id: number }
type TrackEnd = Extract<Request, { type: 'track.end' }>

/** The newest tracks whose end may still have to be said again; an edge lets a session have eight at a time. */
const MAX_ENDED = 64

interface Pending {
  message: Asked
  resolve(answer: Answer): void
  reject(error: AirloomError): void
}

export class Requests {
  #pending = new Map<number, Pending>()
  /** By track, oldest first; whatever was answered, the track is none that a later start began. */
  #ended = new Map<string, TrackEnd>()
  #id = 0

  nextId(): number {
    return ++this.#id
  }

  /** Resolves with the answer; rejects with the edge's error. */
  ask(request: Request, send: (message: Asked) => void): Promise<Answer> {
    const message = { ...request, id: this.nextId() }
    if (request.type === 'track.end') this.#remember(request)
    return new Promise((resolve, reject) => {
      this.#pending.set(message.id, { message, resolve, reject })
      send(message)
    })
  }

  /** Whether the message answers something that was asked. */
  awaits(message: Answer): boolean {
    return 're' in message && message.re !== undefined && this.#pending.has(message.re)
  }

  /** Takes an answer; false when the message is none. */
  answered(message: Answer): boolean {
    const re = 're' in message ? message.re : undefined
    const pending = re === undefined ? undefined : this.#pending.get(re)
    if (!pending) return false
    this.#pending.delete(re!)
    if (message.type === 'error') pending.reject(new AirloomError(message.code, message.message))
    else pending.resolve(message)
    return true
  }

  /**
   * Asks again what is still without an answer. Answers are remembered by the edge that gave them: a track whose start was
   * carried out elsewhere is among the `tracks` of the welcome and not among those this side `knows`, and its answer is made from there.
   * So is a track whose end was lost with an edge: that is ended once more, or the next one of its name would be taken for it, and two
   * sounds would share one numbering.
   */
  repeat(tracks: OwnTrack[], knows: string[], send: (message: Asked) => void): void {
    const unanswered = [...this.#pending]
    this.#endAgain(tracks, send)
    const known = new Set([...knows, ...this.#ended.keys()])
    for (const [id, { message, resolve }] of unanswered) {
      const begun = message.type === 'track.start' && tracks.find((own) => own.name === message.name && !known.has(own.track))
      if (!begun) {
        send(message)
        continue
      }
      known.add(begun.track)
      this.#pending.delete(id)
      resolve({ type: 'track', re: id, track: begun.track, handle: begun.handle, epoch: begun.epoch })
    }
  }

  #endAgain(tracks: OwnTrack[], send: (message: Asked) => void): void {
    const asked = new Set([...this.#pending.values()].map(({ message }) => message.type === 'track.end' && message.track))
    for (const { track } of tracks) {
      const end = this.#ended.get(track)
      if (end && !asked.has(track)) this.ask(end, send).catch(() => {}) // nobody waits for this answer
    }
  }

  #remember(end: TrackEnd): void {
    this.#ended.set(end.track, end)
    if (this.#ended.size > MAX_ENDED) this.#ended.delete(this.#ended.keys().next().value!)
  }

  rejectAll(error: AirloomError): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of all) reject(error)
  }
}

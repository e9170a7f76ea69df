// What was asked of the edge and not answered yet. It outlives the socket it was asked on: on the next one it is asked again,
// under the same id.

import { AirloomError } from '../errors'
import type { EdgeMessage, OwnTrack, Request, Welcome } from '../wire/messages'

export type Answer = Exclude<EdgeMessage, Welcome>
export type Asked = Request & { id: number }

interface Pending {
  message: Asked
  resolve(answer: Answer): void
  reject(error: AirloomError): void
}

export class Requests {
  #pending = new Map<number, Pending>()
  #id = 0

  nextId(): number {
    return ++this.#id
  }

  /** Resolves with the answer; rejects with the edge's error. */
  ask(request: Request, send: (message: Asked) => void): Promise<Answer> {
    const message = { ...request, id: this.nextId() }
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
   */
  repeat(tracks: OwnTrack[], knows: string[], send: (message: Asked) => void): void {
    const known = new Set(knows)
    for (const [id, { message, resolve }] of [...this.#pending]) {
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

  rejectAll(error: AirloomError): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of all) reject(error)
  }
}

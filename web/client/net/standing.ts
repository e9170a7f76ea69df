// How this session stands in its room, by the edge's word: what it may do, and whether what it says is kept.

import type { EdgeMessage, Grants, RoomInfo } from '../wire/messages'
import { maySpeak } from '../wire/rights'

export class Standing {
  #grants: Grants | undefined
  #room: RoomInfo | undefined
  /** The log keeps nothing at the moment. */
  logAway = false

  /** Whether the room's sound is kept: where it is not, nothing is ever acked. */
  get keeps(): boolean {
    return this.#room?.keep !== 'none'
  }

  /** Whether this session may publish tracks: it has the right, and the room's settings let it. */
  get speaks(): boolean {
    return !this.#grants || !this.#room || maySpeak(this.#grants, this.#room)
  }

  get listens(): boolean {
    return this.#grants?.listen ?? true
  }

  heard(message: EdgeMessage): void {
    switch (message.type) {
      case 'welcome':
        this.#grants = message.grants
        this.#room = message.room
        this.logAway = false
        return
      case 'grants':
        this.#grants = message.grants
        return
      case 'room':
        this.#room = message.room
        return
      case 'log':
        this.logAway = message.state === 'away'
    }
  }
}

// How a person stands in the room they are in: what they may do there, and what becomes of what they say. Each change is said in
// words; what was taken is said for as long as it is so, and what is kept until it was read.

import { batch, signal } from '@preact/signals'
import type { Keep, Room, RoomInfo } from '../../client'
import { KEEP, fateOf, listenTaken, rightsGiven, speakTaken } from './words'

export class Standing {
  readonly speak = signal(true)
  readonly listen = signal(true)
  /** Why they may not speak, or listen, since that was taken; else ''. */
  readonly speakTaken = signal('')
  readonly listenTaken = signal('')
  /** What is kept from now on, where that is something else than they were told before; else ''. */
  readonly keepChanged = signal('')
  #fate: Keep | undefined

  constructor(private readonly say: (words: string) => void) {}

  /** `shown` is what they were told is kept before they entered, `toSpeak` whether they came with an open microphone. */
  enter(room: Room, shown: RoomInfo | undefined, toSpeak: boolean): void {
    this.#fate = fateOf(shown ?? room.info)
    batch(() => {
      this.speak.value = room.maySpeak || toSpeak // who came to listen misses nothing
      this.listen.value = true
      this.speakTaken.value = ''
      this.listenTaken.value = ''
      this.keepChanged.value = ''
      this.#fold(room, 'token')
      this.#told(room.info)
    })
    room.on('grants', ({ by }) => batch(() => this.#fold(room, by)))
    room.on('room', (info) =>
      batch(() => {
        this.#fold(room, '')
        this.#told(info)
      }),
    )
  }

  #fold(room: Room, by: string): void {
    const [spoke, listened] = [this.speak.value, this.listen.value]
    const [speak, listen] = [room.maySpeak, room.grants.listen]
    this.speak.value = speak
    this.listen.value = listen
    if (speak !== spoke) this.speakTaken.value = speak ? '' : speakTaken(by, room.grants.speak)
    if (listen !== listened) this.listenTaken.value = listen ? '' : listenTaken(by)
    const given = [...(speak && !spoke ? ['speak'] : []), ...(listen && !listened ? ['listen'] : [])]
    if (given.length > 0) this.say(rightsGiven(given))
  }

  #told(info: RoomInfo): void {
    const fate = fateOf(info)
    if (fate === this.#fate) return
    this.#fate = fate
    this.keepChanged.value = KEEP[fate].changed
  }
}

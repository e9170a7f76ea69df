// Acks that an older socket brings while the link moves. The next edge waits for all that the hello said is not acked: a track that goes on there
// must not let go of it for an ack that came behind the hello, or a hole would stay that nobody fills, and no ack would come any more.

import type { EdgeMessage } from '../wire/messages'

export type Ack = Extract<EdgeMessage, { type: 'ack' }>

export class HeldAcks {
  #newest = new Map<string, Ack>()

  hold(ack: Ack): void {
    this.#newest.set(`${ack.track} ${ack.epoch}`, ack)
  }

  /** Gives those that count, and forgets all: of tracks that go on elsewhere none do. */
  take(goesOn: { track: string }[] = []): Ack[] {
    const acks = [...this.#newest.values()].filter((ack) => !goesOn.some(({ track }) => track === ack.track))
    this.#newest.clear()
    return acks
  }
}

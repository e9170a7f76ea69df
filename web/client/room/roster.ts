// Who is in the room, folded from what the edge tells: a pure structure, the same from the same messages.

import type { ParticipantInfo, RoomInfo, Roster as RosterMessage, TrackInfo, Welcome } from '../wire/messages'

export interface RosterChange {
  joined: ParticipantInfo[]
  left: ParticipantInfo[]
  changed: ParticipantInfo[]
  tracksStarted: { participant: ParticipantInfo; track: TrackInfo }[]
  tracksEnded: { participant: ParticipantInfo; track: TrackInfo }[]
}

export class Roster {
  room: RoomInfo | undefined
  position = -1
  #participants = new Map<string, ParticipantInfo>()
  #speaking = new Set<string>()

  /** In order of joining. */
  get participants(): ParticipantInfo[] {
    return [...this.#participants.values()].sort((a, b) => order(a.joined, b.joined) || order(a.session, b.session))
  }

  get(session: string): ParticipantInfo | undefined {
    return this.#participants.get(session)
  }

  speaking(track: string): boolean {
    return this.#speaking.has(track)
  }

  welcome(welcome: Welcome): RosterChange {
    this.room = welcome.room
    this.#speaking.clear() // a full set follows
    return this.#replace(welcome.roster)
  }

  /** Amends, or replaces when full. What is older than what is known is passed over: two sockets may overlap. */
  roster(message: RosterMessage): RosterChange {
    if (message.full) return this.#replace(message)
    if (message.position < this.position) return nothing()
    this.position = message.position
    const before = new Map(this.#participants)
    for (const session of message.gone ?? []) this.#participants.delete(session)
    for (const participant of message.participants ?? []) this.#participants.set(participant.session, participant)
    return this.#compare(before)
  }

  /** The tracks whose state changed. */
  speakingChanged(tracks: Record<string, boolean>): string[] {
    return Object.entries(tracks).flatMap(([track, on]) => {
      if (on === this.#speaking.has(track)) return []
      if (on) this.#speaking.add(track)
      else this.#speaking.delete(track)
      return [track]
    })
  }

  #replace(message: RosterMessage): RosterChange {
    const before = this.#participants
    this.position = message.position
    this.#participants = new Map((message.participants ?? []).map((p) => [p.session, p]))
    return this.#compare(before)
  }

  #compare(before: Map<string, ParticipantInfo>): RosterChange {
    const change = nothing()
    for (const [session, now] of this.#participants) {
      const was = before.get(session)
      if (!was) change.joined.push(now)
      else if (JSON.stringify(was) !== JSON.stringify(now)) change.changed.push(now)
      compareTracks(was, now, change)
    }
    for (const [session, was] of before) {
      if (this.#participants.has(session)) continue
      change.left.push(was)
      compareTracks(was, undefined, change)
    }
    for (const { track } of change.tracksEnded) this.#speaking.delete(track.track)
    return change
  }
}

function compareTracks(was: ParticipantInfo | undefined, now: ParticipantInfo | undefined, change: RosterChange): void {
  const participant = (now ?? was)!
  const before = was?.tracks ?? []
  const after = now?.tracks ?? []
  for (const track of after) if (!before.some((t) => t.handle === track.handle)) change.tracksStarted.push({ participant, track })
  for (const track of before) if (!after.some((t) => t.handle === track.handle)) change.tracksEnded.push({ participant, track })
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const nothing = (): RosterChange => ({ joined: [], left: [], changed: [], tracksStarted: [], tracksEnded: [] })

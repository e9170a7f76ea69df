// What the rights of a session come to in its room.

import type { Grants, RoomInfo } from './messages'

/** Whether a session with these rights may publish tracks in a room with these settings. */
export const maySpeak = (grants: Grants, room: Pick<RoomInfo, 'speak'>): boolean =>
  grants.speak && (room.speak !== 'moderators' || grants.moderate)

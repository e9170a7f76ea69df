// The SDK. See README.md for an example.

export { Airloom, type AirloomConfig, type JoinOptions, type Stats } from './airloom'
export { AudioSource } from './audio/input'
export type { PlayoutStats } from './audio/jitter'
export type { Level } from './audio/meter'
export { type Microphone, type MicrophoneConfig, type Profile, listMicrophones } from './audio/microphone'
export { AirloomError, type ErrorCode } from './errors'
export * from './net/rest'
export { Publication } from './room/publication'
export { type LinkStatus, type PublishOptions, Room, type RoomEvents } from './room/room'
export { Roster, type RosterChange } from './room/roster'
export { missingFeatures } from './support'
export type { Grants, Keep, ParticipantInfo, RoomInfo, TrackInfo } from './wire/messages'

// What a person is told when something does not work, and what they can do about it.

import { AirloomError, type Keep, type RoomInfo } from '../../client'

export interface Words {
  title: string
  advice: string
}

const WORDS: Record<string, Words> = {
  microphone_refused: {
    title: 'The browser did not allow the microphone',
    advice: 'Allow it for this site (the microphone or lock sign beside the address), then try again. You can also play a file, or only listen.',
  },
  microphone_missing: {
    title: 'There is no microphone',
    advice: 'Plug one in or switch it on, then try again. You can also play a file, or only listen.',
  },
  microphone_busy: {
    title: 'The microphone does not start',
    advice: 'Another program may be holding it. Close that program or pick another microphone, then try again.',
  },
  file_unreadable: {
    title: 'This file cannot be played',
    advice: 'Pick a sound file that your browser knows, such as WAV, MP3, Ogg, FLAC or M4A.',
  },
  unsupported: {
    title: 'This browser lacks something airloom needs',
    advice: 'Open this page in a current Chrome, Edge, Firefox or Safari, over https or on localhost.',
  },
  room_full: {
    title: 'The room is full',
    advice: 'As many people are in it as it allows. Try again when somebody has left.',
  },
  room_closed: {
    title: 'The room is closed',
    advice: 'Nobody can enter it now. Ask whoever runs it to open it again, or pick another room.',
  },
  unauthorized: {
    title: 'You need an invite',
    advice: 'This link lets nobody in by itself, or the invite has run out. Ask for an invite link and open that one.',
  },
  forbidden: {
    title: 'Your invite does not allow this',
    advice: 'It may be for another room, or for listening only. Ask for an invite that allows it.',
  },
  bad_room: {
    title: 'This is not a room you can enter',
    advice: 'A room name has small letters, digits and hyphens; and an invite is good for its own room only.',
  },
  kicked: {
    title: 'You were removed from the room',
    advice: 'A moderator ended your stay. Ask them before you come back.',
  },
  replaced: {
    title: 'You joined from another place',
    advice: 'The same invite is in use in another tab or on another device, so this one was let go.',
  },
  rate: {
    title: 'The edge ended the connection',
    advice: 'This browser sent more than it may. Join again; if it happens again, reload the page.',
  },
  protocol_version: {
    title: 'This page is older than the server',
    advice: 'Reload the page to get the current one.',
  },
  not_kept: {
    title: 'There is nothing to hear again',
    advice: 'What is said in this room is not kept.',
  },
  log_away: {
    title: 'The past cannot be reached at the moment',
    advice: 'Try again in a while. What is said now is heard live.',
  },
  not_supported: {
    title: 'This server cannot rewind',
    advice: 'It is older than this page. Reload the page later.',
  },
  network: {
    title: 'The server does not answer',
    advice: 'Check your connection. This page keeps trying by itself where it can.',
  },
  session_lost: {
    title: 'The connection was away for too long',
    advice: 'Join again to go on.',
  },
  speak_taken: {
    title: 'You may not speak in this room any more',
    advice: 'Ask a moderator for the right to speak.',
  },
  codec: {
    title: 'The browser could not encode the sound',
    advice: 'Reload the page. If it stays so, try another browser.',
  },
}

export function wordsFor(error: unknown): Words {
  if (!(error instanceof AirloomError)) return { title: 'Something went wrong', advice: String(error) }
  const words = WORDS[error.code]
  if (!words) return { title: 'That did not work', advice: error.message }
  if (error.missing.length > 0) return { ...words, advice: `It has no ${error.missing.join(', no ')}. ${words.advice}` }
  return words
}

/** Why one may not speak any more: `by` a moderator, the `token`, or nobody by name; `granted`: the right is there, but the room's settings say no. */
export function speakTaken(by: string, granted: boolean): string {
  const off = 'Your microphone is off: nobody hears you.'
  if (granted) return `Only moderators speak in this room. ${off}`
  if (by === 'token') return `Your invite does not let you speak in this room. ${off}`
  return by ? `A moderator took your right to speak. ${off}` : `You may not speak in this room any more. ${off}`
}

export function listenTaken(by: string): string {
  if (by === 'token') return 'Your invite does not let you listen any more. You hear nothing of this room.'
  return `${by ? 'A moderator took your right to listen' : 'You may not listen in this room any more'}. You hear nothing of it until you get that right again.`
}

/** `rights`: speak, listen, or both. */
export const rightsGiven = (rights: string[]): string => `You may ${rights.join(' and ')} in this room now`

/** That some of what was said is in no recording, nor will be. */
export function unkeptWords(missingMs: number, atMost: boolean): string {
  const seconds = Math.ceil(missingMs / 1_000)
  const sound = seconds < 100 ? `${seconds} s` : `${Math.round(seconds / 60)} minutes`
  if (atMost) return `Up to ${sound} of what you said may not be kept: the connection or the server was lost before it was safe.`
  return `Not kept: ${sound} of what you said. It was lost on the way before it was safe.`
}

/** What becomes of what is said: a recording that somebody started in a room kept for rewind is one, too. */
export const fateOf = ({ keep, recording }: Pick<RoomInfo, 'keep' | 'recording'>): Keep => (recording ? 'record' : keep)

export const KEEP: Record<Keep, { mark: string; title: string; detail: string; changed: string }> = {
  record: {
    mark: 'Recorded',
    title: 'This room is recorded',
    detail: 'What you say from the moment you go live is kept as a recording.',
    changed: 'From now on this room is recorded: what you say is kept as a recording.',
  },
  rewind: {
    mark: 'Kept for rewind',
    title: 'What you say is kept for rewind',
    detail: 'It can be heard again for a while, and a recording can be started from it. Then it is gone.',
    changed: 'From now on what you say is kept for rewind only: for a while it can be heard again, and a recording can be started from it.',
  },
  none: {
    mark: 'Nothing is kept',
    title: 'Nothing is kept',
    detail: 'What you say is heard live and then gone.',
    changed: 'From now on nothing is kept: what you say is heard live and then gone.',
  },
}

import { beforeEach, expect, test } from 'vitest'
import type { AudioSource } from '../audio/input'
import type { Grants, RoomInfo, Welcome } from '../wire/messages'
import type { WorkerPort } from '../worker/port'
import type { ToWorker } from '../worker/protocol'
import { Room } from './room'

const ALL: Grants = { listen: true, speak: true, record: false, moderate: false }
const INFO: RoomInfo = { room: 'hall', keep: 'none', capacity: 0, closed: false, recording: '', speak: 'granted' }

let asked: ToWorker['type'][]
let room: Room

const welcome = (grants: Grants): Welcome =>
  ({
    ...{ type: 'welcome', session: 's', identity: 'ann', name: 'Ann', grants, edge: 'e', region: 'local', resumed: true },
    ...{ room: INFO, roster: { type: 'roster', position: 1, full: true, participants: [], gone: [] } },
  }) as unknown as Welcome

/** A source that only knows whether its device was let go. */
const microphone = () => {
  const source = { id: 1, kind: 'microphone', channels: 1, closed: false, close: () => (source.closed = true) }
  return source
}

beforeEach(() => {
  asked = []
  const worker = { tell: () => {}, ask: async ({ type }: ToWorker) => void asked.push(type) }
  room = new Room(worker as unknown as WorkerPort, undefined)
  room.told({ type: 'welcome', welcome: welcome(ALL) })
})

test('rights that change are told, with who changed them, and hold at once', () => {
  const told: unknown[] = []
  room.on('grants', (change) => told.push(change))
  const less = { ...ALL, speak: false }
  room.told({ type: 'message', message: { type: 'grants', grants: less, by: 'mo' } })
  expect([room.grants, room.maySpeak]).toEqual([less, false])
  room.told({ type: 'message', message: { type: 'grants', grants: ALL } })
  expect([room.grants, room.maySpeak]).toEqual([ALL, true])
  expect(told).toEqual([
    { grants: less, by: 'mo' },
    { grants: ALL, by: '' },
  ])
})

test('rights that changed while there was no socket are told too, once', () => {
  const told: unknown[] = []
  room.on('grants', (change) => told.push(change))
  room.told({ type: 'welcome', welcome: welcome(ALL) })
  expect(told).toEqual([])
  room.told({ type: 'welcome', welcome: welcome({ ...ALL, listen: false }) })
  expect(told).toEqual([{ grants: { ...ALL, listen: false }, by: '' }])
})

test('where only moderators speak, the right alone is not enough', () => {
  room.told({ type: 'message', message: { type: 'room', room: { ...INFO, speak: 'moderators' } } })
  expect(room.maySpeak).toBe(false)
  room.told({ type: 'message', message: { type: 'grants', grants: { ...ALL, moderate: true } } })
  expect(room.maySpeak).toBe(true)
})

test('a publication whose track was ended: a typed error, the microphone let go, nothing asked of the edge any more', async () => {
  const source = microphone()
  const publication = await room.publish(source as unknown as AudioSource)
  const told: string[] = []
  publication.on('failed', ({ code }) => told.push(code))
  publication.on('ended', () => told.push(`ended, microphone ${source.closed ? 'closed' : 'open'}`))
  room.told({ type: 'publish.over', publication: 1, error: { code: 'speak_taken', message: 'taken' } })
  room.told({ type: 'publish.over', publication: 1, error: { code: 'speak_taken', message: 'taken' } })
  await publication.end()
  expect(told).toEqual(['speak_taken', 'ended, microphone closed'])
  expect([publication.ended, asked]).toEqual([true, ['publish']])
})

test('what is lost of a track that has ended is told, also long after its end', async () => {
  const told: unknown[] = []
  room.on('unkept', (unkept) => told.push(unkept))
  const publication = await room.publish(microphone() as unknown as AudioSource)
  await publication.end()
  const unkept = { track: 'aaaaaai', missingMs: 40, ofMs: 200, atMost: false }
  room.told({ type: 'unkept', unkept })
  expect(told).toEqual([unkept])
})

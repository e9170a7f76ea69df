// The publisher against the fake edge, with an encoder that makes a recognisable frame of each one put in.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AirloomError } from '../errors'
import type { Heard, Source } from '../audio/source'
import { FakeEdge, openSocket } from '../net/fake-edge'
import { Link } from '../net/link'
import { spanOf } from '../wire/packet'
import { FakeData, FakeEncoder } from './fake-encoder'
import type { Life, Unkept } from './life'
import { type PublishConfig, Publisher } from './publisher'
import { Remains } from './remains'

let edge: FakeEdge
let link: Link
let publisher: Publisher
let listener: ((frame: Heard) => void) | undefined
let ids: string[]
let overs: string[]
let index: number
let remains: Remains
let unkept: Unkept[]

const source = {
  channels: 1,
  clock: { timestamp: 95_040, unixUs: 1_700_000_000_000_000 },
  onFrame: (given: (frame: Heard) => void) => {
    listener = given
    return () => (listener = undefined)
  },
} as unknown as Source

const config: PublishConfig = { name: 'mic', label: '', bitrate: 32_000, application: 'voip', gate: false, muted: false }

const events = { started: (id: string) => void ids.push(id), failed: () => {}, over: (error: AirloomError) => void overs.push(error.code), rest: (life: Life) => remains.take(life) }

/** `count` frames from the source, a moment between them for the encoder. */
async function speak(count: number, voice = true): Promise<void> {
  for (let i = 0; i < count; i++, index++) {
    listener?.({ index, channels: [new Float32Array(960).fill(index)], level: { rms: -20, peak: -10, voice } })
    await Promise.resolve()
  }
  await new Promise((resolve) => setTimeout(resolve, 1))
}

const covered = () => edge.last.packets.map((p) => `${p.kind[0]}${p.backlog ? 'b' : ''}${p.seq}+${spanOf(p)}`)

async function begin(more: Partial<PublishConfig> = {}): Promise<void> {
  publisher = new Publisher(link, source, { ...config, ...more }, events)
  await publisher.start()
}

beforeEach(async () => {
  vi.stubGlobal('AudioEncoder', FakeEncoder)
  vi.stubGlobal('AudioData', FakeData)
  ;[ids, overs, unkept, index] = [[], [], [], 100]
  remains = new Remains((told) => unkept.push(told))
  edge = await FakeEdge.start()
  link = new Link(
    { url: edge.url, room: 'hall', listen: false, token: async () => 'token', random: () => 0.9, open: openSocket },
    {
      state: () => {},
      welcome: (welcome) => {
        publisher?.welcomed(welcome)
        remains.welcomed(welcome)
      },
      message: (message) => {
        publisher?.heard(message)
        remains.heard(message)
      },
      packets: () => {},
      playback: () => {},
      past: () => undefined,
      closed: () => {},
      tracks: () => [...(publisher?.resumable ?? []), ...remains.resumable],
    },
  )
  link.start()
  await vi.waitUntil(() => link.open)
})

afterEach(async () => {
  publisher.close()
  remains.close()
  link.close()
  await edge.stop()
  vi.unstubAllGlobals()
})

test('numbers frames from 0 on, timestamps from the source counter', async () => {
  await begin()
  await speak(3)
  await edge.until(() => edge.last.packets.length === 3)
  expect(covered()).toEqual(['a0+1', 'a1+1', 'a2+1'])
  expect(edge.last.packets.map((p) => p.timestamp)).toEqual([96_000, 96_960, 97_920])
  expect(edge.last.packets[0]!.voice).toBe(true)
  expect(ids).toEqual(['track1'])
  expect(edge.last.requests[0]).toMatchObject({ type: 'track.start', channels: 1, frame_ms: 20, epoch: 0, clock: { timestamp: 95_040 } })
})

test('while muted it declares silence: the first frame at once, then every 400 ms, the rest on speaking again', async () => {
  await begin()
  await speak(2)
  publisher.setMuted(true)
  await speak(30)
  publisher.setMuted(false)
  await speak(1)
  await edge.until(() => edge.last.packets.length === 6)
  expect(covered()).toEqual(['a0+1', 'a1+1', 's2+1', 's3+20', 's23+9', 'a32+1'])
  expect(edge.last.requests.filter((r) => r.type === 'track.mute').map((r) => r.muted)).toEqual([true, false])
})

test('the gate declares silence while nobody speaks', async () => {
  await begin({ gate: true })
  await speak(1)
  await speak(21, false)
  await edge.until(() => edge.last.packets.length === 3)
  expect(covered()).toEqual(['a0+1', 's1+1', 's2+20'])
})

test('time without samples is silence', async () => {
  await begin()
  await speak(1)
  index += 100
  await speak(1)
  await edge.until(() => edge.last.packets.length === 3)
  expect(covered()).toEqual(['a0+1', 's1+100', 'a101+1'])
})

test('a cut connection: what is not acked comes again as backlog, the numbering goes on', async () => {
  await begin()
  await speak(5)
  await edge.until(() => edge.last.packets.length === 5)
  edge.last.send({ type: 'ack', track: 'track1', epoch: 0, seq: 1 })
  await vi.waitUntil(() => publisher.stats()!.acked === 1)
  edge.acked = { track1: 2 }
  edge.last.cut()
  await vi.waitUntil(() => !link.open)
  await speak(3)
  await vi.waitUntil(() => link.open)
  await speak(1)
  await edge.until(() => edge.last.packets.length === 2)
  expect(edge.last.hello.tracks).toEqual([{ track: 'track1', epoch: 0, acked: 1 }])
  expect(covered()).toEqual(['ab3+5', 'a8+1'])
  expect(ids).toEqual(['track1'])
})

/** Five frames are sent and not acked, the next edge has the hello, and then the one before acks them. */
async function ackedWhileMoving() {
  await begin()
  await speak(5)
  await edge.until(() => edge.last.packets.length === 5)
  const old = edge.last
  edge.slow = true
  old.send({ type: 'move', within_ms: 5_000 })
  await edge.until(() => edge.sockets.length === 2 && edge.last.hello)
  old.send({ type: 'ack', track: 'track1', epoch: 0, seq: 4 })
  await link.request({ type: 'listen', on: true }) // answered by the old socket: the ack has been read
  return old
}

test('an ack that comes while the link moves hides nothing from the next edge', async () => {
  await ackedWhileMoving()
  edge.greet()
  await edge.until(() => edge.last.packets.length > 0)
  expect(covered()).toEqual(['ab0+5'])
})

test('an ack that comes while a move fails counts', async () => {
  await ackedWhileMoving()
  edge.last.close(1_013)
  await vi.waitUntil(() => publisher.stats()!.acked === 4)
})

test('the edge asks for a resend', async () => {
  await begin()
  await speak(4)
  await edge.until(() => edge.last.packets.length === 4)
  edge.last.send({ type: 'resend', track: 'track1', epoch: 0, from: 2 })
  await edge.until(() => edge.last.packets.length === 5)
  expect(covered()[4]).toBe('ab2+2')
})

test('a session that was lost: the track starts anew under another id', async () => {
  await begin({ muted: true })
  await speak(2)
  edge.forgetful = true
  edge.last.cut()
  await vi.waitUntil(() => ids.length === 2)
  publisher.setMuted(false)
  await speak(1)
  await edge.until(() => edge.last.packets.length === 1)
  expect(covered()).toEqual(['a0+1'])
  expect(ids).toEqual(['track1', 'track2'])
})

test('ending says the last seq', async () => {
  await begin()
  await speak(3)
  await publisher.end()
  expect(edge.last.requests.at(-1)).toMatchObject({ type: 'track.end', track: 'track1', epoch: 0, last: 2 })
})

test('a start that was carried out on another edge, its answer lost: that track is taken, none is started beside it', async () => {
  edge.swallow.add('track.start')
  const begun = begin()
  await edge.until(() => edge.last.requests.length === 1)
  edge.last.cut()
  await begun
  await speak(1)
  await edge.until(() => edge.last.packets.length === 1)
  expect([ids, edge.last.requests, covered()]).toEqual([['track1'], [], ['a0+1']])
})

test('two tracks of one name, the second start without its answer: it is not taken for the first', async () => {
  await begin()
  edge.mute.add('track.start')
  const second = new Publisher(link, source, config, events)
  const begun = second.start()
  await edge.until(() => edge.last.requests.length === 2)
  edge.mute.clear()
  edge.last.cut()
  await begun
  second.close()
  expect(ids).toEqual(['track1', 'track2'])
  expect(edge.last.requests.map((r) => r.type)).toEqual(['track.start'])
})

test('ended before the start was answered: the track does not stay behind', async () => {
  edge.mute.add('track.start')
  publisher = new Publisher(link, source, config, events)
  const started = publisher.start()
  const { id } = await edge.until(() => edge.last.requests[0])
  await publisher.end()
  edge.last.send({ type: 'track', re: id, track: 'track1', handle: 1, epoch: 0 })
  await started
  await edge.until(() => edge.last.requests.some((r) => r.type === 'track.end' && r.track === 'track1'))
  expect(ids).toEqual([])
})

const NO_SPEAK = { listen: true, speak: false, record: false, moderate: false }

describe('TestRow42: grant narrowed while speaking', () => {
  test.each([
    ['the right is taken', { type: 'grants', grants: NO_SPEAK, by: 'mo' }],
    ['only moderators speak from now on', { type: 'room', room: { room: 'hall', keep: 'record', speak: 'moderators' } }],
  ])('%s: not one more frame, nothing sent again, and the error says so', async (_, message) => {
    await begin()
    await speak(3)
    await edge.until(() => edge.last.packets.length === 3)
    edge.last.send(message)
    await vi.waitUntil(() => overs.length > 0)
    expect(listener).toBeUndefined() // the source is not read any more
    publisher.heard({ type: 'resend', track: 'track1', epoch: 0, from: 0 })
    await publisher.end()
    await link.request({ type: 'listen', on: true }) // answered after all that was sent before it
    expect(overs).toEqual(['speak_taken'])
    expect(covered()).toEqual(['a0+1', 'a1+1', 'a2+1'])
    expect(edge.last.requests.map((r) => r.type)).toEqual(['track.start', 'listen'])
    expect([publisher.resumable, publisher.stats()]).toEqual([[], undefined])
  })

  test('frames that the encoder still holds go nowhere', async () => {
    await begin()
    await speak(1)
    await edge.until(() => edge.last.packets.length === 1)
    listener!({ index: index++, channels: [new Float32Array(960)], level: { rms: -20, peak: -10, voice: true } })
    link.standing.heard({ type: 'grants', grants: NO_SPEAK })
    publisher.heard({ type: 'grants', grants: NO_SPEAK })
    await link.request({ type: 'listen', on: true })
    expect(covered()).toEqual(['a0+1'])
  })

  test('taken while there was no socket: the welcome says so, and no track is started', async () => {
    await begin()
    edge.grants = NO_SPEAK
    edge.last.cut()
    await vi.waitUntil(() => overs.length > 0)
    await link.request({ type: 'listen', on: true })
    expect(overs).toEqual(['speak_taken'])
    expect(edge.last.requests.map((r) => r.type)).toEqual(['listen'])
  })

  test('taken while the track starts: starting fails with it, and what the edge began is ended', async () => {
    edge.mute.add('track.start')
    const begun = begin().then(() => '', (error) => error.code)
    const { id } = await edge.until(() => edge.last.requests[0])
    edge.last.send({ type: 'grants', grants: NO_SPEAK, by: 'mo' })
    await vi.waitUntil(() => overs.length > 0)
    edge.last.send({ type: 'track', re: id, track: 'track1', handle: 1, epoch: 0 })
    expect(await begun).toBe('speak_taken')
    await edge.until(() => edge.last.requests.some((r) => r.type === 'track.end' && r.track === 'track1'))
    expect(ids).toEqual([])
  })

  test('another right taken or given, or moderators alone where one is a moderator, changes nothing', async () => {
    await begin()
    edge.last.send({ type: 'grants', grants: { listen: false, speak: true, record: true, moderate: true }, by: 'mo' })
    edge.last.send({ type: 'room', room: { room: 'hall', keep: 'record', speak: 'moderators' } })
    await link.request({ type: 'listen', on: true })
    await speak(1)
    await edge.until(() => edge.last.packets.length === 1)
    expect(overs).toEqual([])
  })
})

// What becomes of a track that has ended before all of it was acked: it is sent again to any edge, and what is lost is told.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Heard, Source } from '../audio/source'
import { FakeEdge, openSocket } from '../net/fake-edge'
import { Link } from '../net/link'
import { spanOf } from '../wire/packet'
import { FakeData, FakeEncoder } from './fake-encoder'
import type { Unkept } from './life'
import { Publisher } from './publisher'
import { Remains } from './remains'

let edge: FakeEdge
let link: Link
let publishers: Publisher[]
let remains: Remains
let unkept: Unkept[]
let listener: ((frame: Heard) => void) | undefined
let index: number

const source = {
  channels: 1,
  clock: undefined,
  onFrame: (given: (frame: Heard) => void) => {
    listener = given
    return () => (listener = undefined)
  },
} as unknown as Source

async function begin(): Promise<Publisher> {
  const config = { name: 'mic', label: '', bitrate: 32_000, application: 'voip', gate: false, muted: false } as const
  const events = { started: () => {}, failed: () => {}, over: () => {}, rest: remains.take.bind(remains) }
  const publisher = new Publisher(link, source, config, events)
  publishers.push(publisher)
  await publisher.start()
  return publisher
}

async function speak(count: number): Promise<void> {
  for (let i = 0; i < count; i++, index++) {
    listener?.({ index, channels: [new Float32Array(960)], level: { rms: -20, peak: -10, voice: true } })
    await Promise.resolve()
  }
  await new Promise((resolve) => setTimeout(resolve, 1))
}

/** A track of `count` frames, all sent, ended while the log is away; the socket it was sent on. */
async function endedUnacked(count: number) {
  const publisher = await begin()
  const track = publisher.id!
  await speak(count)
  edge.last.send({ type: 'log', state: 'away' })
  await vi.waitUntil(() => link.standing.logAway)
  await publisher.end()
  return { publisher, track, socket: edge.last }
}

const backlog = () => edge.last.packets.filter((p) => p.backlog).map((p) => `${p.seq}+${spanOf(p)}`)
const asked = () => edge.last.requests.map((r) => r.type)
const idle = () => vi.waitUntil(() => remains.resumable.length === 0)

beforeEach(async () => {
  vi.stubGlobal('AudioEncoder', FakeEncoder)
  vi.stubGlobal('AudioData', FakeData)
  ;[publishers, unkept, index] = [[], [], 100]
  remains = new Remains((told) => unkept.push(told))
  edge = await FakeEdge.start()
  link = new Link(
    { url: edge.url, room: 'hall', listen: false, token: async () => 'token', random: () => 0.1, open: openSocket },
    {
      state: () => {},
      welcome: (welcome) => {
        for (const publisher of publishers) publisher.welcomed(welcome)
        remains.welcomed(welcome)
      },
      message: (message) => {
        for (const publisher of publishers) publisher.heard(message)
        remains.heard(message)
      },
      packets: () => {},
      playback: () => {},
      past: () => undefined,
      closed: () => remains.close(),
      tracks: () => [...publishers.flatMap((p) => p.resumable), ...remains.resumable],
    },
  )
  link.start()
  await vi.waitUntil(() => link.open)
})

afterEach(async () => {
  for (const publisher of publishers) publisher.close()
  link.close()
  await edge.stop()
  vi.unstubAllGlobals()
})

test('acked whole before the end is answered: nothing stays behind', async () => {
  edge.mute.add('track.end')
  const publisher = await begin()
  await speak(3)
  const ended = publisher.end()
  const { id } = await edge.until(() => edge.last.requests.find((r) => r.type === 'track.end'))
  edge.last.send({ type: 'ack', track: 'track1', epoch: 0, seq: 2 })
  await vi.waitUntil(() => remains.resumable[0]?.acked === 2) // still named: the next edge is to know that it is acked
  edge.last.send({ type: 'ok', re: id })
  await ended
  await idle()
  expect(unkept).toEqual([])
})

test('ended while the log is away: what the edge asks for again it gets, until all is acked', async () => {
  const { socket } = await endedUnacked(5)
  socket.send({ type: 'resend', track: 'track1', epoch: 0, from: 1 })
  await edge.until(() => backlog().length === 1)
  expect(backlog()).toEqual(['1+4'])
  socket.send({ type: 'ack', track: 'track1', epoch: 0, seq: 3 })
  await vi.waitUntil(() => remains.resumable[0]!.acked === 3)
  socket.send({ type: 'ack', track: 'track1', epoch: 0, seq: 4 })
  await idle()
  expect(unkept).toEqual([])
})

test('ended while the log is away, and then the edge dies: the next one gets the frames and the end', async () => {
  const { socket } = await endedUnacked(5)
  edge.acked = { track1: 1 }
  socket.cut()
  await edge.until(() => edge.sockets.length === 2 && backlog().length === 1)
  expect(edge.last.hello.tracks).toEqual([{ track: 'track1', epoch: 0, acked: -1 }])
  expect(backlog()).toEqual(['2+3'])
  expect(edge.last.requests).toMatchObject([{ type: 'track.end', track: 'track1', last: 4 }])
  edge.last.send({ type: 'ack', track: 'track1', epoch: 0, seq: 4 })
  await idle()
  expect(unkept).toEqual([])
})

test('the edge closes the track: what it does not have is told, exactly', async () => {
  const { socket } = await endedUnacked(10)
  socket.send({ type: 'closed', track: 'track1', epoch: 0, acked: 4, kept: 8 })
  await idle()
  expect(unkept).toEqual([{ track: 'track1', missingMs: 40, ofMs: 200, atMost: false }])
})

test('closed, and all of it is there: not a word', async () => {
  const { socket } = await endedUnacked(10)
  socket.send({ type: 'closed', track: 'track1', epoch: 0, acked: 9, kept: 10 })
  await idle()
  expect(unkept).toEqual([])
})

test('over by the welcome of the next edge: nothing is sent to it, and its last word is waited for', async () => {
  const { socket } = await endedUnacked(10)
  edge.over = ['track1']
  socket.cut()
  await vi.waitUntil(() => edge.sockets.length === 2 && link.open)
  await link.request({ type: 'listen', on: true })
  expect([remains.resumable.length, unkept, backlog()]).toEqual([1, [], []])
  edge.last.send({ type: 'closed', track: 'track1', epoch: 0, acked: -1, kept: 0 })
  await idle()
  expect(unkept).toEqual([{ track: 'track1', missingMs: 200, ofMs: 200, atMost: false }])
})

test('a track that is spoken on is over when the session comes back: another one begins, and what is lost of it is told', async () => {
  const publisher = await begin()
  await speak(10)
  edge.over = ['track1']
  edge.last.cut()
  await vi.waitUntil(() => publisher.id === 'track2')
  expect(asked()).toEqual(['track.start'])
  edge.last.send({ type: 'closed', track: 'track1', epoch: 0, acked: 5, kept: 6 })
  await vi.waitUntil(() => unkept.length > 0)
  expect(unkept).toEqual([{ track: 'track1', missingMs: 80, ofMs: 200, atMost: false }])
  await speak(1)
  await edge.until(() => edge.last.packets.length === 1)
})

test('the session is lost: no edge will say what is kept, so it is told how much may be missing', async () => {
  const { socket } = await endedUnacked(200)
  edge.forgetful = true
  socket.cut()
  await idle()
  expect(unkept).toEqual([{ track: 'track1', missingMs: 4_000, ofMs: 4_000, atMost: true }])
})

test('leaving: what is not acked by then is told, but not that acks are a moment behind', async () => {
  await endedUnacked(50)
  await endedUnacked(200)
  link.close()
  expect(unkept.map(({ track, atMost }) => [track, atMost])).toEqual([['track2', true]])
})

test('a room that keeps nothing: nothing is waited for', async () => {
  const { socket } = await endedUnacked(10)
  expect(remains.resumable.length).toBe(1)
  socket.send({ type: 'room', room: { room: 'hall', keep: 'none' } })
  await idle()
  expect(unkept).toEqual([])
})

test('eight tracks are held, not more: the oldest is given up', async () => {
  for (let n = 1; n <= 9; n++) await endedUnacked(150)
  expect(remains.resumable.map(({ track }) => track)).toEqual([9, 8, 7, 6, 5, 4, 3, 2].map((n) => `track${n}`))
  expect(unkept.map(({ track }) => track)).toEqual(['track1'])
})

test('the right to speak is taken: nothing is sent again, for each packet would count against this session', async () => {
  const { socket } = await endedUnacked(10)
  socket.send({ type: 'grants', grants: { listen: true, speak: false, record: false, moderate: false }, by: 'mo' })
  socket.send({ type: 'resend', track: 'track1', epoch: 0, from: 0 })
  await vi.waitUntil(() => !link.standing.speaks)
  remains.heard({ type: 'log', state: 'ok' })
  await link.request({ type: 'listen', on: true })
  expect(backlog()).toEqual([])
  socket.send({ type: 'closed', track: 'track1', epoch: 0, acked: 9, kept: 10 })
  await idle()
})

const NO_SPEAK = { listen: true, speak: false, record: false, moderate: false }

test('the right to speak is taken in the midst of a track: nothing is sent again, and what is lost of it is told', async () => {
  const publisher = await begin()
  await speak(10)
  await edge.until(() => edge.last.packets.length === 10)
  edge.last.send({ type: 'grants', grants: NO_SPEAK, by: 'mo' })
  await vi.waitUntil(() => publisher.id === undefined)
  edge.last.send({ type: 'resend', track: 'track1', epoch: 0, from: 0 })
  await link.request({ type: 'listen', on: true })
  expect([remains.resumable.length, backlog()]).toEqual([1, []])
  edge.last.send({ type: 'closed', track: 'track1', epoch: 0, acked: 4, kept: 7 })
  await idle()
  expect(unkept).toEqual([{ track: 'track1', missingMs: 60, ofMs: 200, atMost: false }])
})

test('the right to speak is taken while there is no socket: the next edge is asked how the track ended', async () => {
  await begin()
  await speak(10)
  await edge.until(() => edge.last.packets.length === 10)
  edge.grants = NO_SPEAK
  edge.over = ['track1']
  edge.last.cut()
  await vi.waitUntil(() => edge.sockets.length === 2 && link.open)
  await link.request({ type: 'listen', on: true })
  expect([remains.resumable.length, asked(), backlog()]).toEqual([1, ['listen'], []])
  edge.last.send({ type: 'closed', track: 'track1', epoch: 0, acked: 9, kept: 10 })
  await idle()
  expect(unkept).toEqual([])
})

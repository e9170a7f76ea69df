import { afterEach, beforeEach, expect, test } from 'vitest'
import { type AirloomError, comesBack } from '../errors'
import type { PlaybackMessage, ResumedTrack, Welcome } from '../wire/messages'
import { FakeEdge, openSocket } from './fake-edge'
import { Link, type LinkConfig, type LinkState } from './link'
import { expiryOf } from './token'

let edge: FakeEdge
let link: Link
let welcomes: Welcome[]
let states: LinkState[]
let closed: { error: AirloomError | undefined } | undefined
let tokens: number
let issue: (n: number) => string
let published: ResumedTrack[]
let past: { from: string; rate: number } | undefined
let playbacks: (PlaybackMessage & { answered: boolean })[]

beforeEach(async () => {
  edge = await FakeEdge.start()
  ;[welcomes, states, closed, tokens] = [[], [], undefined, 0]
  ;[past, playbacks] = [undefined, []]
  published = [{ track: 'track1', epoch: 0, acked: 41 }]
  issue = (n) => `token${n}`
  link = join()
})

const join = (more: Partial<LinkConfig> = {}) =>
  new Link(
    { url: edge.url, room: 'hall', listen: true, name: 'Ann', token: async () => issue(++tokens), random: () => 0.01, open: openSocket, ...more },
    {
      state: (state) => states.push(state),
      welcome: (welcome) => welcomes.push(welcome),
      message: () => {},
      packets: () => {},
      playback: (message, answered) => playbacks.push({ ...message, answered }),
      past: () => past,
      closed: (error) => (closed = { error }),
      tracks: () => published,
    },
  )

afterEach(async () => {
  link.close()
  await edge.stop()
})

const until = async (check: () => unknown) => {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('says hello with the token, never in the address', async () => {
  link.start()
  await until(() => link.open)
  expect(edge.last.hello).toMatchObject({ type: 'hello', id: 1, protocol: 1, token: 'token1', room: 'hall', listen: true, name: 'Ann' })
  expect(edge.last.hello.resume).toBeUndefined()
  expect(states).toEqual(['connecting', 'open'])
})

test.each([1_000, 1_001, 1_011, 1_012, 1_013, 3_008])('comes back with its resume secret after close %i', async (code) => {
  link.start()
  await until(() => link.open)
  edge.last.close(code)
  await until(() => welcomes.length === 2)
  expect(edge.last.hello).toMatchObject({ resume: 'secret1', tracks: [{ track: 'track1', epoch: 0, acked: 41 }] })
  expect(welcomes[1]).toMatchObject({ resumed: true, session: welcomes[0]!.session })
  expect(states).toContain('reconnecting')
})

test('comes back when the socket dies without a word', async () => {
  link.start()
  await until(() => link.open)
  edge.last.cut()
  await until(() => welcomes.length === 2)
  expect(welcomes[1]!.resumed).toBe(true)
})

test.each([
  ['room_full', 4_423],
  ['room_closed', 4_410],
  ['forbidden', 4_403],
  ['rate', 1_008],
])('does not come back after %s', async (code, close) => {
  edge.refuse = { code, close }
  link.start()
  await until(() => closed)
  expect(closed!.error!.code).toBe(code)
  expect(edge.sockets.length).toBe(1)
})

test('which closes it comes back from, and which would only meet the same again', () => {
  const all = [1_000, 1_001, 1_002, 1_003, 1_005, 1_006, 1_007, 1_008, 1_009, 1_011, 1_012, 1_013, 3_008, 4_400, 4_401, 4_403, 4_499]
  expect(all.filter(comesBack)).toEqual([1_000, 1_001, 1_005, 1_006, 1_011, 1_012, 1_013, 3_008])
})

test.each([1_002, 1_003, 1_007, 1_008, 1_009, 4_403])('does not come back after close %i in the midst of it', async (code) => {
  link.start()
  await until(() => link.open)
  edge.last.close(code)
  await until(() => closed)
  expect(edge.sockets.length).toBe(1)
})

test('an old token is replaced once before giving up', async () => {
  edge.refuse = { code: 'unauthorized', close: 4_401 }
  link.start()
  await until(() => closed)
  expect(closed!.error!.code).toBe('unauthorized')
  expect(edge.sockets.map((s) => s.hello.token)).toEqual(['token1', 'token2'])
})

test('what was not answered is asked again under the same id', async () => {
  edge.mute.add('track.mute')
  link.start()
  await until(() => link.open)
  const answer = link.request({ type: 'track.mute', track: 'track1', muted: true })
  const first = await edge.until(() => edge.last.requests[0])
  edge.mute.clear()
  edge.last.cut()
  expect((await answer).type).toBe('ok')
  expect(edge.last.requests[0]).toEqual(first)
})

test('a track whose end was lost with an edge is ended once more, and not taken for the next one of its name', async () => {
  published = []
  const mic = { type: 'track.start', name: 'mic', channels: 1, frame_ms: 20, epoch: 0 } as const
  link.start()
  await until(() => link.open)
  expect(await link.request(mic)).toMatchObject({ track: 'track1' })
  const end = { type: 'track.end', track: 'track1', epoch: 0, last: 9 } as const
  expect((await link.request(end)).type).toBe('ok')
  edge.mute.add('track.start')
  const next = link.request(mic)
  const [, said, start] = await edge.until(() => edge.last.requests.length === 3 && edge.last.requests)
  edge.mute.clear()
  edge.last.cut()
  expect(await next).toMatchObject({ type: 'track', track: 'track2' })
  expect(edge.last.requests).toEqual([{ ...end, id: expect.any(Number) }, start])
  expect(edge.last.requests[0].id).not.toBe(said.id)
})

test('an end without an answer is said once, and its track not taken for the next one', async () => {
  published = []
  const mic = { type: 'track.start', name: 'mic', channels: 1, frame_ms: 20, epoch: 0 } as const
  link.start()
  await until(() => link.open)
  await link.request(mic)
  for (const type of ['track.end', 'track.start']) edge.mute.add(type)
  const ended = link.request({ type: 'track.end', track: 'track1', epoch: 0, last: -1 })
  const next = link.request(mic)
  const [, ...asked] = await edge.until(() => edge.last.requests.length === 3 && edge.last.requests)
  edge.mute.clear()
  edge.last.cut()
  expect((await ended).type).toBe('ok')
  expect(await next).toMatchObject({ track: 'track2' })
  expect(edge.last.requests).toEqual(asked)
})

test('requests fail with session_lost when the session is a new one', async () => {
  edge.mute.add('track.mute')
  link.start()
  await until(() => link.open)
  const answer = link.request({ type: 'track.mute', track: 'track1', muted: true })
  await edge.until(() => edge.last.requests[0])
  edge.forgetful = true
  edge.last.cut()
  await expect(answer).rejects.toMatchObject({ code: 'session_lost' })
})

test('a move opens the second socket before the first is closed', async () => {
  link.start()
  await until(() => link.open)
  const old = edge.last
  old.send({ type: 'move', within_ms: 5_000 })
  await until(() => welcomes.length === 2)
  expect(edge.last.hello.resume).toBe('secret1')
  expect(states.includes('reconnecting')).toBe(false)
  await link.request({ type: 'listen', on: true })
  expect(edge.last.requests.length).toBe(1)
  expect(old.requests.length).toBe(0)
})

test('a token about to end is refreshed', async () => {
  link.start()
  await until(() => link.open)
  edge.last.send({ type: 'token', expires_unix: Date.now() / 1_000 + 60 })
  const request = await edge.until(() => edge.last.requests.find((r) => r.type === 'refresh'))
  expect(request.token).toBe('token2')
})

test('a token got by a refresh is good for as long as it says itself', async () => {
  const exp = Math.floor(Date.now() / 1_000) + 900
  issue = (n) => `head${n}.${Buffer.from(JSON.stringify({ sub: 'Zoë ÿ', exp })).toString('base64url')}.sign`
  edge.expiresIn = 30
  link.start()
  await until(() => link.open)
  edge.last.send({ type: 'token', expires_unix: exp - 870 })
  await edge.until(() => edge.last.requests.find((r) => r.type === 'refresh'))
  await link.request({ type: 'listen', on: true }) // answered after the refresh
  edge.last.close(1_012)
  await until(() => welcomes.length === 2)
  expect([tokens, edge.last.hello.token]).toEqual([2, issue(2)])
})

test.each([['ticket', 0], ['a.b.c', 0], [`a.${btoa('{}')}.c`, 0], [`a.${btoa('{"exp":"soon"}')}.c`, 0], [`a.${btoa('{"exp":1700000000}')}.c`, 1_700_000_000]])(
  'the end of token %s',
  (token, ends) => expect(expiryOf(token)).toBe(ends),
)

test('leave is said and ends it without an error', async () => {
  link.start()
  await until(() => link.open)
  await link.leave()
  expect(edge.last.requests.map((r) => r.type)).toEqual(['leave'])
  expect(closed).toEqual({ error: undefined })
})

test('keeps trying while there is no edge, and gets in when there is one', async () => {
  const port = Number(new URL(edge.url).port)
  await edge.stop()
  link.start()
  await until(() => states.length > 2)
  edge = await FakeEdge.start(port)
  await until(() => link.open)
  expect(welcomes.length).toBe(1)
}, 15_000)

test('a socket that takes over while the past is heard goes on there', async () => {
  link.start()
  await until(() => link.open)
  expect(edge.last.hello.from).toBeUndefined()
  past = { from: '2026-11-20T12:03:10.000Z', rate: 2 }
  edge.last.cut()
  await until(() => welcomes.length === 2)
  expect(edge.last.hello).toMatchObject({ resume: 'secret1', from: '2026-11-20T12:03:10.000Z', rate: 2 })
})

test('where the sound is, is told with whether it was asked for', async () => {
  edge.mute.add('listen')
  link.start()
  await until(() => link.open)
  const answer = link.request({ type: 'listen', on: true, from: '-30s' })
  const { id } = await edge.until(() => edge.last.requests[0])
  edge.last.send({ type: 'playback', re: id, state: 'past', at: '2026-11-20T12:03:10Z' })
  edge.last.send({ type: 'playback', state: 'live' })
  expect(await answer).toMatchObject({ type: 'playback', state: 'past' })
  await until(() => playbacks.length === 2)
  expect(playbacks.map(({ state, answered }) => [state, answered])).toEqual([
    ['past', true],
    ['live', false],
  ])
})

test.each<object>([
  { type: 'playback', state: 'past', at: '2026-11-20T12:03:10Z' },
  { type: 'error', code: 'not_kept', message: 'nothing is kept' },
])('where to begin is said until the edge has answered it (%o)', async (answer) => {
  link = join({ begin: { from: '-30.000s', rate: 2 } })
  link.start()
  await until(() => link.open)
  expect(edge.last.hello).toMatchObject({ from: '-30.000s', rate: 2 })
  edge.last.cut() // before it said where the sound is
  await until(() => welcomes.length === 2)
  expect(edge.last.hello).toMatchObject({ resume: 'secret1', from: '-30.000s', rate: 2 })
  edge.last.send(answer)
  await link.request({ type: 'listen', on: true })
  edge.last.cut()
  await until(() => welcomes.length === 3)
  expect(edge.last.hello.from).toBeUndefined()
})

test('a hello that resumes names eight tracks and not more: the edge would refuse it for good', async () => {
  published = Array.from({ length: 10 }, (_, n) => ({ track: `track${n}`, epoch: 0, acked: n }))
  link.start()
  await until(() => link.open)
  edge.last.cut()
  await until(() => edge.sockets.length === 2 && edge.last.hello)
  expect(edge.last.hello.tracks).toEqual(published.slice(0, 8))
})

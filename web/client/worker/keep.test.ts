// Minutes of speaking in rooms that keep nothing and past a log that is away, in simulated time: what a publisher holds,
// and what it asks of the edge.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AirloomError } from '../errors'
import type { Heard, Source } from '../audio/source'
import type { Link } from '../net/link'
import { Standing } from '../net/standing'
import type { EdgeMessage, Keep, Welcome } from '../wire/messages'
import { type Packet, decodeMessage, spanOf } from '../wire/packet'
import { FakeData, FakeEncoder } from './fake-encoder'
import { Publisher } from './publisher'

/** A link whose requests are answered in a moment; `refuse` is the code that gaps are refused with. */
class QuietLink {
  open = true
  standing = new Standing()
  bufferedAmount = 0
  clockAheadMs = 0
  refuse = ''
  packets: Packet[] = []
  gaps: { at: number; from: number; to: number }[] = []

  sendPackets(bytes: Uint8Array): boolean {
    this.packets.push(...decodeMessage(bytes))
    return true
  }

  async request(message: any): Promise<any> {
    if (message.type === 'track.start') return { type: 'track', track: 'track1', handle: 1, epoch: 0 }
    if (message.type !== 'gap') return { type: 'ok' }
    this.gaps.push({ at: Date.now(), from: message.from, to: message.to })
    if (this.refuse) throw new AirloomError(this.refuse, 'refused')
    return { type: 'ok' }
  }
}

let link: QuietLink
let publisher: Publisher
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

async function speak(seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 50; i++, index++) {
    listener?.({ index, channels: [new Float32Array(960)], level: { rms: -20, peak: -10, voice: true } })
    await vi.advanceTimersByTimeAsync(20)
  }
}

function tell(message: object): void {
  const told = message as EdgeMessage
  link.standing.heard(told)
  publisher.heard(told)
}

function setKeep(keep: Keep): void {
  tell({ type: 'room', room: { room: 'hall', keep } })
}

const ack = (seq: number) => tell({ type: 'ack', track: 'track1', epoch: 0, seq })

async function begin(keep: Keep): Promise<void> {
  link = new QuietLink()
  link.standing.heard({ type: 'room', room: { room: 'hall', keep } } as EdgeMessage)
  const config = { name: 'mic', label: '', bitrate: 32_000, application: 'voip', gate: false, muted: false } as const
  publisher = new Publisher(link as unknown as Link, source, config, { started: () => {}, failed: () => {}, over: () => {}, rest: () => {} })
  await publisher.start()
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('AudioEncoder', FakeEncoder)
  vi.stubGlobal('AudioData', FakeData)
  index = 0
})
afterEach(() => {
  publisher.close()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test('two minutes in a room that keeps nothing: every frame goes out once, nothing is held, nothing is asked', async () => {
  await begin('none')
  await speak(120)
  expect(link.packets.map((p) => p.seq)).toEqual(Array.from({ length: 6_000 }, (_, seq) => seq))
  expect(link.packets.some((p) => p.backlog)).toBe(false)
  expect(publisher.stats()).toMatchObject({ sent: 6_000, unackedMs: 0, resent: 0, gaps: 0 })
  expect(link.gaps).toEqual([])
})

test('the room begins to keep: what follows is held; an ack that comes in time says that nothing is missing', async () => {
  await begin('none')
  await speak(10)
  setKeep('record')
  await speak(1)
  expect(publisher.stats()!.unackedMs).toBe(1_000)
  ack(539)
  await speak(5)
  ack(790)
  expect(publisher.stats()).toMatchObject({ acked: 790, unackedMs: 180 })
  expect(link.gaps).toEqual([])
})

test('the room begins to keep after sound was lost: acks cannot move over that, so it is declared', async () => {
  await begin('none')
  await speak(5)
  link.open = false
  await speak(5)
  link.open = true
  setKeep('rewind')
  await speak(5)
  expect(link.gaps.map(({ from, to }) => ({ from, to }))).toEqual([{ from: 0, to: 499 }])
})

test('the room stops keeping: nothing more is held, and nothing asked for', async () => {
  await begin('record')
  await speak(30)
  setKeep('none')
  await speak(90)
  expect(publisher.stats()!.unackedMs).toBe(0)
  expect(link.gaps).toEqual([])
})

test('three minutes with the log away: one gap, told when the log is back and not before', async () => {
  await begin('record')
  await speak(1)
  ack(49)
  tell({ type: 'log', state: 'away' })
  await speak(180)
  expect(link.gaps).toEqual([])
  expect(publisher.stats()!.unackedMs).toBe(120_000)
  tell({ type: 'resend', track: 'track1', epoch: 0, from: 50 })
  tell({ type: 'log', state: 'ok' })
  await speak(0.2)
  expect(link.gaps.map(({ from, to }) => ({ from, to }))).toEqual([{ from: 50, to: expect.closeTo(3_050, -2) }])
  const back = link.packets.filter((p) => p.backlog)
  expect(back[0]!.seq).toBe(link.gaps[0]!.to + 1)
  ack(back.at(-1)!.seq + spanOf(back.at(-1)!) - 1)
  await speak(3)
  expect(link.gaps.length).toBeLessThanOrEqual(2)
  expect(publisher.stats()!.acked).toBeGreaterThan(3_050)
})

test('acks that stay away without a word from the edge: no gap is told before one comes, then one a second at most', async () => {
  await begin('record')
  await speak(180)
  expect(link.gaps).toEqual([])
  link.refuse = 'log_away'
  for (let i = 0; i < 50; i++) {
    ack(i)
    await speak(0.1)
  }
  expect(link.gaps.length).toBeGreaterThan(3)
  for (let i = 1; i < link.gaps.length; i++) expect(link.gaps[i]!.at - link.gaps[i - 1]!.at).toBeGreaterThanOrEqual(1_000)
})

test('a move to another edge after frames were dropped: the gap is told there at once', async () => {
  await begin('record')
  await speak(150)
  const tracks = [{ track: 'track1', handle: 1, name: 'mic', epoch: 0, acked: 99, muted: false }]
  publisher.welcomed({ resumed: true, tracks, room: { keep: 'record' } } as unknown as Welcome)
  await speak(0.1)
  expect(link.gaps.map(({ from }) => from)).toEqual([100])
})

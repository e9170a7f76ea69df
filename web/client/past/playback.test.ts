import { expect, test } from 'vitest'
import type { Packet } from '../wire/packet'
import type { PlaybackMessage } from '../wire/messages'
import { pack } from './fixtures'
import { Playback, type PlaybackReport } from './playback'

const AT = Date.UTC(2026, 10, 20, 12)
const WINDOW = { from: '2026-11-20T11:00:00Z', to: '2026-11-20T12:10:00Z' }

/** A listener whose clock and edge are the test's. */
function stay() {
  const heard: { handle: number; seq: number; backlog: boolean }[] = []
  const reports: PlaybackReport[] = []
  const did: string[] = []
  const clock = { now: 1_000, edge: AT + 600_000 }
  const playback = new Playback(
    {
      release: (packet) => heard.push({ handle: packet.handle, seq: packet.seq, backlog: packet.backlog }),
      restart: () => did.push('restart'),
      paused: () => did.push('paused'),
      past: (past, rate) => did.push(`${past ? 'past' : 'live'} ${rate}`),
      report: (report) => reports.push(report),
    },
    () => clock.edge,
  )
  const told = (message: Partial<PlaybackMessage>, answered = false) => playback.heard({ type: 'playback', state: 'past', ...message }, answered, clock.now)
  const pass = (ms: number, each = () => {}) => {
    for (const ends = clock.now + ms; clock.now < ends; ) {
      clock.now += 20
      clock.edge += 20
      each()
      playback.tick(clock.now)
    }
  }
  const seek = (at = AT, rate = 1) => told({ state: 'past', at: new Date(at).toISOString(), window: WINDOW, rate }, true)
  const give = (seq: number, packs: number) => {
    for (let i = 0; i < packs; i++) playback.push(pack(1, seq + i * 10))
  }
  return { playback, heard, reports, did, told, pass, seek, give, clock, seqs: () => heard.map((h) => h.seq), last: () => reports.at(-1)! }
}

const live = (seq: number): Packet => ({ ...pack(1, seq, 1), backlog: false })
const count = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

test('live packets pass at once, as they are, and so do those that a live listener gets to begin with', () => {
  const { playback, heard } = stay()
  playback.push(pack(1, 0, 6))
  playback.push(live(6))
  expect(heard).toEqual([
    { handle: 1, seq: 0, backlog: true },
    { handle: 1, seq: 6, backlog: false },
  ])
  expect(playback.busy).toBe(false)
})

test('a seek: the old is thrown away, the new sound begins with the first packets, and the place is told', () => {
  const { playback, pass, seek, give, did, seqs, last, clock } = stay()
  seek()
  expect(did).toEqual(['restart', 'past 1'])
  give(100, 10)
  pass(20)
  expect(seqs()).toEqual([100])
  pass(980)
  expect(last()).toMatchObject({ state: 'past', rate: 1, clamped: null, window: { from: Date.parse(WINDOW.from), to: Date.parse(WINDOW.to) } })
  expect(Math.abs(last().at! - AT - 980)).toBeLessThan(520)
  expect(Math.abs(last().behindMs - (clock.edge - last().at!))).toBeLessThan(500)
  seek(AT - 60_000)
  const before = seqs().length
  give(5_000, 10)
  pass(100)
  expect(seqs().slice(before).every((seq) => seq >= 5_000)).toBe(true)
  expect(playback.resume).toMatchObject({ rate: 1 })
})

test('while the past is heard a live packet is not', () => {
  const { playback, heard, pass, seek, give } = stay()
  seek()
  give(0, 5)
  playback.push(live(30_000))
  pass(400)
  expect(heard.some((h) => h.seq === 30_000)).toBe(false)
})

test('dry for longer than a moment is waiting, and it goes on without leaving anything out', () => {
  const { pass, seek, give, seqs, reports } = stay()
  seek()
  give(0, 5)
  pass(2_000)
  expect(reports.map((r) => r.state)).toContain('waiting')
  give(50, 5)
  pass(1_200)
  expect(seqs()).toEqual(count(0, 100))
  expect(reports.findLast((r) => r.state === 'past')).toBeDefined()
})

test('the seam: what was given in advance is heard out a little faster, then live passes at once; each frame once, none left out', () => {
  const { playback, told, pass, seek, give, seqs, did, last } = stay()
  seek(AT, 2)
  give(0, 20) // 4 s
  pass(1_000)
  told({ state: 'live' })
  expect(last()).toMatchObject({ state: 'past', rate: 2 })
  let next = 200
  playback.push(pack(1, 190)) // again: what the log had given already
  pass(3_000, () => playback.push(live(next++)))
  expect(last()).toMatchObject({ state: 'live', at: null, behindMs: 0, rate: 1 })
  expect(playback.busy).toBe(false)
  playback.push(live(next++))
  expect(seqs()).toEqual(count(0, next))
  expect(did.at(-1)).toBe('live 1')
  expect(did.filter((d) => d === 'restart').length).toBe(1)
})

test('near live at rate 1 it lands too', () => {
  const { playback, told, pass, seek, give, seqs, did } = stay()
  seek(AT + 599_000)
  give(0, 5)
  told({ state: 'live' })
  let next = 50
  pass(6_000, () => playback.push(live(next++)))
  expect(playback.busy).toBe(false)
  expect(did).toContain('past 1.25')
  expect(seqs()).toEqual(count(0, next))
})

test('live asked for is live at once: what waits is thrown away, nothing is heard twice', () => {
  const { playback, told, pass, seek, give, seqs, did, last } = stay()
  seek()
  give(0, 10)
  pass(500)
  const before = seqs().length
  told({ state: 'live' }, true)
  expect(did.slice(-2)).toEqual(['restart', 'live 1'])
  expect(last().state).toBe('live')
  playback.push(pack(1, 30_000, 6))
  playback.push(live(30_006))
  expect(seqs().slice(before)).toEqual([30_000, 30_006])
})

test('a cut in the past: the next socket goes on a bit before what is there, and doubles are dropped', () => {
  const { playback, told, pass, seek, give, seqs, did } = stay()
  seek(AT, 1)
  give(0, 10)
  pass(1_000)
  const { from, rate } = playback.resume!
  expect(rate).toBe(1)
  expect(Math.abs(Date.parse(from) - (AT + 1_000))).toBeLessThan(50)
  pass(300) // no socket; what is there plays on
  told({ state: 'past', at: from, window: WINDOW, rate: 1 })
  give(50, 10)
  pass(2_000)
  expect(seqs()).toEqual(count(0, 150))
  expect(did.filter((d) => d === 'restart').length).toBe(1)
})

test('an edge that keeps nothing any more: live', () => {
  const { playback, seek, give, pass, last, clock } = stay()
  seek()
  give(0, 10)
  pass(100)
  playback.refused(clock.now)
  expect(last().state).toBe('live')
  expect(playback.resume).toBeUndefined()
})

test('what is not kept is told as clamped until the next seek', () => {
  const { told, seek, pass, last } = stay()
  told({ state: 'past', at: WINDOW.from, window: WINDOW, rate: 1, clamped: 'before_window' }, true)
  pass(1_000)
  expect(last().clamped).toBe('before_window')
  seek()
  expect(last().clamped).toBeNull()
})

test('a window of nothing is none', () => {
  const { told, last } = stay()
  told({ state: 'live', window: { from: null, to: null } }, true)
  expect(last()).toMatchObject({ state: 'live', window: null })
})

test('a hello that began in the past: its answer names no question, and moves there all the same', () => {
  const { told, last, give, pass, seqs } = stay()
  told({ state: 'past', at: WINDOW.from, window: WINDOW, rate: 2, clamped: 'before_window' })
  give(0, 5)
  pass(200)
  expect(last()).toMatchObject({ state: 'past', rate: 2, clamped: 'before_window' })
  expect(seqs()[0]).toBe(0)
})

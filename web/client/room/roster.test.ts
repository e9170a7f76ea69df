import { expect, test } from 'vitest'
import type { ParticipantInfo, Roster as RosterMessage, TrackInfo, Welcome } from '../wire/messages'
import { Roster } from './roster'

const grants = { listen: true, speak: true, record: false, moderate: false }
const track = (handle: number, more: Partial<TrackInfo> = {}): TrackInfo => ({
  track: `t${handle}`,
  handle,
  name: 'mic',
  label: '',
  channels: 1,
  frame_ms: 20,
  epoch: 0,
  muted: false,
  clock: null,
  ...more,
})
const who = (session: string, tracks: TrackInfo[] = [], more: Partial<ParticipantInfo> = {}): ParticipantInfo => ({
  session,
  identity: `id-${session}`,
  name: session,
  away: false,
  joined: `2026-11-20T12:00:0${session.charCodeAt(0) % 10}Z`,
  grants,
  tracks,
  ...more,
})
const message = (position: number, full: boolean, participants: ParticipantInfo[], gone: string[] = []): RosterMessage => ({
  type: 'roster',
  position,
  full,
  participants,
  gone,
})
const welcome = (roster: RosterMessage) =>
  ({ type: 'welcome', room: { room: 'r', keep: 'none', capacity: 0, closed: false, recording: '', speak: 'granted' }, roster }) as Welcome
const names = (list: ParticipantInfo[]) => list.map((p) => p.session)

test('a welcome replaces, a roster amends', () => {
  const roster = new Roster()
  expect(names(roster.welcome(welcome(message(5, true, [who('a', [track(1)])]))).joined)).toEqual(['a'])
  const change = roster.roster(message(6, false, [who('b', [track(2)]), who('a', [track(1, { muted: true })])]))
  expect(names(change.joined)).toEqual(['b'])
  expect(names(change.changed)).toEqual(['a'])
  expect(change.tracksStarted.map((t) => t.track.handle)).toEqual([2])
  expect(names(roster.participants)).toEqual(['a', 'b'])

  const after = roster.roster(message(7, false, [], ['b']))
  expect(names(after.left)).toEqual(['b'])
  expect(after.tracksEnded.map((t) => t.track.handle)).toEqual([2])

  expect(names(roster.roster(message(9, true, [who('c')])).left)).toEqual(['a'])
})

test('what is older than what is known is passed over', () => {
  const roster = new Roster()
  roster.welcome(welcome(message(5, true, [who('a')])))
  roster.roster(message(8, false, [], ['a']))
  expect(roster.roster(message(7, false, [who('a')])).joined).toEqual([])
  expect(roster.participants).toEqual([])
})

test('away is a change, not a leave; a replaced track ends and starts', () => {
  const roster = new Roster()
  roster.welcome(welcome(message(1, true, [who('a', [track(1)])])))
  expect(names(roster.roster(message(2, false, [who('a', [track(1)], { away: true })])).changed)).toEqual(['a'])
  const change = roster.roster(message(3, false, [who('a', [track(2)])]))
  expect([change.tracksEnded.map((t) => t.track.handle), change.tracksStarted.map((t) => t.track.handle)]).toEqual([[1], [2]])
})

test('speaking tells changes only and ends with the track', () => {
  const roster = new Roster()
  roster.welcome(welcome(message(1, true, [who('a', [track(1)])])))
  expect(roster.speakingChanged({ t1: true, t2: false })).toEqual(['t1'])
  expect(roster.speakingChanged({ t1: true })).toEqual([])
  roster.roster(message(2, false, [], ['a']))
  expect(roster.speaking('t1')).toBe(false)
})

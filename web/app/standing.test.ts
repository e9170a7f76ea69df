import { beforeEach, describe, expect, test } from 'vitest'
import { Emitter } from '../client/emitter'
import type { Grants, Keep, Room, RoomEvents } from '../client'
import { Standing } from './src/standing'

const ALL: Grants = { listen: true, speak: true, record: false, moderate: false }

/** As much of a room as standing looks at. */
class FakeRoom extends Emitter<RoomEvents> {
  grants = ALL
  info = { room: 'hall', keep: 'none' as Keep, capacity: 0, closed: false, recording: '', speak: 'granted' as 'granted' | 'moderators' }

  get maySpeak(): boolean {
    return this.grants.speak && (this.info.speak === 'granted' || this.grants.moderate)
  }

  grant(grants: Partial<Grants>, by: string): void {
    this.grants = { ...this.grants, ...grants }
    this.emit('grants', { grants: this.grants, by })
  }

  set(settings: Partial<FakeRoom['info']>): void {
    this.info = { ...this.info, ...settings }
    this.emit('room', this.info)
  }
}

let room: FakeRoom
let said: string[]
let standing: Standing

const enter = (shown: Keep = 'none', toSpeak = true) => standing.enter(room as unknown as Room, { ...room.info, keep: shown }, toSpeak)

beforeEach(() => {
  room = new FakeRoom()
  said = []
  standing = new Standing((words) => said.push(words))
})

describe('rights', () => {
  test('what a moderator takes is said for as long as it is so, and what is given back is said too', () => {
    enter()
    room.grant({ speak: false }, 'mo')
    expect(standing.speak.value).toBe(false)
    expect(standing.speakTaken.value).toBe('A moderator took your right to speak. Your microphone is off: nobody hears you.')
    room.grant({ listen: false }, 'mo')
    expect(standing.speakTaken.value).toContain('right to speak')
    expect(standing.listenTaken.value).toContain('A moderator took your right to listen')
    room.grant({ listen: true, speak: true }, 'mo')
    expect([standing.speak.value, standing.listen.value, standing.speakTaken.value, standing.listenTaken.value]).toEqual([true, true, '', ''])
    expect(said).toEqual(['You may speak and listen in this room now'])
  })

  test.each([
    ['', 'You may not speak in this room any more.'],
    ['token', 'Your invite does not let you speak in this room.'],
  ])('taken by “%s”', (by, words) => {
    enter()
    room.grant({ speak: false }, by)
    expect(standing.speakTaken.value).toContain(words)
  })

  test('only moderators speak from now on, and then all again', () => {
    enter()
    room.set({ speak: 'moderators' })
    expect(standing.speakTaken.value).toContain('Only moderators speak in this room.')
    room.set({ speak: 'granted' })
    expect([standing.speakTaken.value, said]).toEqual(['', ['You may speak in this room now']])
  })

  test('who came with an open microphone and may not speak is told why; who came to listen misses nothing', () => {
    room.grants = { ...ALL, speak: false }
    enter('none', true)
    expect(standing.speakTaken.value).toContain('Your invite does not let you speak')
    enter('none', false)
    expect([standing.speak.value, standing.speakTaken.value]).toEqual([false, ''])
  })

  test('another right is none of this', () => {
    enter()
    room.grant({ record: true }, 'mo')
    expect([standing.speakTaken.value, said]).toEqual(['', []])
  })
})

describe('what is kept', () => {
  test.each([
    ['record', 'From now on this room is recorded'],
    ['rewind', 'From now on what you say is kept for rewind only'],
    ['none', 'From now on nothing is kept'],
  ] as const)('a change to %s is said until it was read', (keep, words) => {
    room.set({ keep: keep === 'none' ? 'record' : 'none' })
    enter(room.info.keep)
    expect(standing.keepChanged.value).toBe('')
    room.set({ keep })
    expect(standing.keepChanged.value).toContain(words)
    standing.keepChanged.value = ''
    room.set({ capacity: 7 })
    expect(standing.keepChanged.value).toBe('')
  })

  test('a recording that somebody starts in a room kept for rewind is said, and its end', () => {
    room.set({ keep: 'rewind' })
    enter('rewind')
    room.set({ recording: '20261120-120000000-local-7' })
    expect(standing.keepChanged.value).toContain('From now on this room is recorded')
    room.set({ recording: '' })
    expect(standing.keepChanged.value).toContain('for rewind only')
  })

  test('with keep: record a recording begins with who speaks: that is nothing new', () => {
    room.set({ keep: 'record' })
    enter('record')
    room.set({ recording: '20261120-120000000-local-7' })
    room.set({ recording: '' })
    expect(standing.keepChanged.value).toBe('')
  })

  test('a change between what was shown before entering and the entry is said as well', () => {
    room.set({ keep: 'record' })
    enter('none')
    expect(standing.keepChanged.value).toContain('From now on this room is recorded')
  })
})

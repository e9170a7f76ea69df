// What a moderator does to those inside, as they see and hear it: rights taken and given, and what is kept from now on.
import { AxeBuilder } from '@axe-core/playwright'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { type Edge, startEdge } from './harness.mjs'
import { type Person, arrive, goLive, listen, loudness, roster, rosterUntil, session } from './people'

/** Longer than an edge forgives frames of somebody who may not speak any more. */
const FORGIVEN_MS = 10_000

let edge: Edge
let people: Person[] = []

beforeAll(async () => {
  edge = await startEdge()
})
afterEach(async () => {
  const all = people
  people = []
  await Promise.all(all.map((person) => person.close()))
  for (const person of all) expect(person.problems, person.name).toEqual([])
})
afterAll(() => edge.stop())

/** Ann speaks, Bo listens and hears her. */
async function meet(room: string): Promise<{ ann: Person; bo: Person }> {
  const [ann, bo] = (people = await Promise.all([arrive('Ann', 0), arrive('Bo')])) as [Person, Person]
  await Promise.all([goLive(ann, edge, room), listen(bo, edge, room)])
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  return { ann, bo }
}

const identity = (page: Page) => page.evaluate(() => window.__airloom!.room!.identity)
const banner = async (page: Page, name: string) => (await page.waitForSelector(`[data-banner=${name}]`)).textContent()
const complaints = async (page: Page) => (await new AxeBuilder({ page }).analyze()).violations.map((v) => v.id)

async function grantSession(room: string, of: string, grants: object): Promise<void> {
  const json = { 'Content-Type': 'application/json' }
  const issued = await fetch(`${edge.url}/v1/tokens`, { method: 'POST', headers: json, body: JSON.stringify({ room }) })
  const { token } = (await issued.json()) as { token: string }
  const headers = { ...json, Authorization: `Bearer ${token}` }
  const answer = await fetch(`${edge.url}/v1/rooms/${room}/sessions/${of}`, { method: 'PATCH', headers, body: JSON.stringify({ grants }) })
  expect(answer.status, await answer.text()).toBe(200)
}

test('TestRow42: the right to speak is taken from somebody live: the microphone goes off, they stay, and speak again once it is given back', async () => {
  const { ann, bo } = await meet('taken')
  const who = await identity(ann.page)
  const stay = await session(ann.page)
  await ann.page.evaluate(() => {
    // What the page let go of, seen from outside of the SDK.
    ;(window as any).__device = window.__airloom!.sources[0]!.track
    ;(window as any).__notices = []
    window.__airloom!.room!.on('notice', ({ code }) => (window as any).__notices.push(code))
  })

  edge.run('room', 'grant', 'taken', who, '--no-speak')
  const taken = Date.now()
  expect(await banner(ann.page, 'speak')).toContain('A moderator took your right to speak. Your microphone is off')
  expect(await ann.page.evaluate(() => [(window as any).__device.readyState, window.__airloom!.sources.length])).toEqual(['ended', 0])
  expect(await ann.page.locator('button:has-text("Mute"), .later').count()).toBe(0)
  expect(await complaints(ann.page)).toEqual([])
  await rosterUntil(bo.page, ({ Ann }) => Ann === 'listening')
  await bo.page.waitForTimeout(500)
  expect(await loudness(bo.page, 2_000)).toBe(0)

  await ann.page.waitForTimeout(Math.max(0, taken + FORGIVEN_MS + 1_500 - Date.now()))
  expect(await ann.page.isVisible('[data-link=open]')).toBe(true)
  expect(await ann.page.evaluate(() => (window as any).__notices.filter((code: string) => code !== 'forbidden'))).toEqual([])

  edge.run('room', 'grant', 'taken', who, '--speak')
  expect(await banner(ann.page, 'note')).toContain('You may speak in this room now')
  expect(await ann.page.locator('[data-banner=speak]').count()).toBe(0)
  await ann.page.click('summary:has-text("Speak too")')
  await ann.page.click('text=Allow the microphone')
  await ann.page.waitForSelector('button:has-text("Mute")')
  await rosterUntil(bo.page, ({ Ann }) => Ann === 'speaking', 10_000)
  expect(await loudness(bo.page, 3_000)).toBeGreaterThan(0.005)
  expect(await session(ann.page)).toBe(stay)
})

test('the right to listen is taken and given back: the sound stops, and comes again by itself', async () => {
  const { bo } = await meet('deaf')
  expect(await loudness(bo.page, 3_000)).toBeGreaterThan(0.005)
  const of = await session(bo.page)
  await grantSession('deaf', of, { listen: false })
  expect(await banner(bo.page, 'listen')).toContain('A moderator took your right to listen')
  await bo.page.waitForTimeout(300)
  expect(await loudness(bo.page, 2_000)).toBe(0)
  expect(await bo.page.locator('.scrubber').count()).toBe(0)
  expect((await roster(bo.page)).Bo).toBe('listening') // is still there
  await grantSession('deaf', of, { listen: true })
  expect(await banner(bo.page, 'note')).toContain('You may listen in this room now')
  await rosterUntil(bo.page, ({ Ann }) => Ann === 'speaking', 10_000)
  expect(await loudness(bo.page, 3_000)).toBeGreaterThan(0.005)
  expect(await bo.page.locator('[data-banner=listen]').count()).toBe(0)
})

test('what is kept changes while somebody is live: it is said until it was read', async () => {
  edge.run('room', 'create', 'keeps', '--keep', 'none')
  const [ann] = (people = [await arrive('Ann', 0)]) as [Person]
  await goLive(ann, edge, 'keeps')
  expect(await ann.page.locator('[data-banner=keep]').count()).toBe(0)
  const said = ann.page.locator('[aria-live=polite] [data-banner=keep]')
  for (const [keep, words] of [
    ['record', 'From now on this room is recorded'],
    ['rewind', 'for rewind only'],
    ['none', 'From now on nothing is kept'],
  ] as const) {
    edge.run('room', 'create', 'keeps', '--keep', keep)
    await said.filter({ hasText: words }).waitFor({ timeout: 5_000 })
  }
  edge.run('room', 'create', 'keeps', '--keep', 'rewind')
  await said.filter({ hasText: 'for rewind only' }).waitFor({ timeout: 5_000 })
  edge.run('room', 'record', 'keeps', 'on') // by command, in a room that only keeps for rewind
  await said.filter({ hasText: 'From now on this room is recorded' }).waitFor({ timeout: 5_000 })
  for (const width of [360, 1_280]) {
    await ann.page.setViewportSize({ width, height: 800 })
    expect(await ann.page.evaluate(() => document.documentElement.scrollWidth - innerWidth), `${width} px`).toBeLessThanOrEqual(0)
  }
  expect(await complaints(ann.page)).toEqual([])
  await ann.page.click('button:has-text("I see")')
  expect(await said.count()).toBe(0)
})

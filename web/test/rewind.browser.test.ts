// Hearing again what was said, by the sound itself: what a listener hears is found in what the speaker's microphone gave.
import { AxeBuilder } from '@axe-core/playwright'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { cable } from './cable'
import { type Edge, startEdge } from './harness.mjs'
import { type Person, arrive, goLive, listen, loudness, roster, rosterUntil } from './people'
import { delays, quantile } from './sound.mjs'
import { type Sound, readMicrophone, readOutput, tapMicrophone, tapOutput } from './taps.mjs'

let edge: Edge
let people: Person[] = []

beforeAll(async () => {
  edge = await startEdge()
})
afterEach(async () => {
  const all = people
  people = []
  for (const person of all) await person.close()
})
afterAll(() => edge.stop())

async function someone(name: string, voice?: number): Promise<Person> {
  const person = await arrive(name, voice)
  people.push(person)
  return person
}

const slider = (page: Page) => page.getByRole('slider', { name: 'Where you listen' })
const playing = (page: Page, state: string) => page.waitForSelector(`.scrubber[data-playback=${state}]`, { timeout: 10_000 })
const behindMs = (page: Page) => page.evaluate(() => window.__airloom!.room!.playback.behindMs)

/** Ann speaks, Bo listens, and the room has kept `seconds` of it. */
async function kept(room: string, seconds: number, to = edge): Promise<{ ann: Person; bo: Person }> {
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo')
  await goLive(ann, edge, room)
  await tapMicrophone(ann.page)
  await listen(bo, to, room)
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  await tapOutput(bo.page)
  const reachMs = () =>
    bo.page.evaluate(async () => {
      const room = window.__airloom!.room!
      const kept = await room.window()
      return kept ? room.now.getTime() - kept.from.getTime() : 0
    })
  await expect.poll(reachMs, { timeout: 20_000, interval: 500 }).toBeGreaterThan(seconds * 1_000)
  return { ann, bo }
}

/** What of `said` is heard between two moments, when looked for about `aboutMs` later: windows of speech with delay and likeness. */
function found(said: Sound, heard: Sound, [fromMs, toMs]: [number, number], aboutMs: number) {
  const at = (ms: number) => Math.max(0, Math.round(((ms - heard.startMs) / 1_000) * heard.rate))
  const piece = { ...heard, samples: heard.samples.subarray(at(fromMs), at(toMs)), startMs: heard.startMs + (at(fromMs) / heard.rate) * 1_000 }
  const earliest = Math.max(0, aboutMs - 1_000)
  const windows = delays({ ...said, startMs: said.startMs + earliest }, piece, { windowMs: 400, maxMs: 2_000 })
  return windows.map((w) => ({ ...w, delayMs: w.delayMs + earliest }))
}

test('ten seconds back with the keyboard: the sound of ten seconds before, from there on; then live again', async () => {
  const { ann, bo } = await kept('again', 11)
  await slider(bo.page).focus()
  await bo.page.keyboard.press('ArrowLeft')
  await bo.page.keyboard.press('ArrowLeft')
  await playing(bo.page, 'past')
  expect(await slider(bo.page).getAttribute('aria-valuetext')).toMatch(/^10 seconds behind live, \d\d:\d\d:\d\d$/)
  const past = await bo.page.evaluate(() => Date.now())
  await bo.page.waitForTimeout(5_000)
  expect(Math.abs((await behindMs(bo.page)) - 10_000)).toBeLessThan(500)
  await bo.page.getByRole('button', { name: 'Live', exact: true }).click()
  await playing(bo.page, 'live')
  const live = await bo.page.evaluate(() => Date.now())
  await bo.page.waitForTimeout(3_500)
  const said = await readMicrophone(ann.page)
  const heard = await readOutput(bo.page)

  const before = found(said, heard, [past + 500, live - 300], 10_000)
  expect(before.length).toBeGreaterThan(2)
  expect(quantile(before.map((w) => w.correlation), 0.5)).toBeGreaterThan(0.8)
  expect(Math.abs(quantile(before.map((w) => w.delayMs), 0.5) - 10_000)).toBeLessThan(800)
  const after = found(said, heard, [live + 300, live + 3_500], 0)
  expect(after.length).toBeGreaterThan(1)
  expect(quantile(after.map((w) => w.correlation), 0.5)).toBeGreaterThan(0.8)
  expect(quantile(after.map((w) => w.delayMs), 0.5)).toBeLessThan(600)
  expect([...ann.problems, ...bo.problems]).toEqual([])
})

test('a cut in the past: the sound goes on where it was', async () => {
  const line = await cable(edge.url)
  const { ann, bo } = await kept('cut-past', 8, { ...edge, url: line.url })
  await bo.page.evaluate(() => window.__airloom!.room!.rewind({ from: 6 }))
  await bo.page.waitForTimeout(1_500)
  const cut = Date.now()
  line.cut()
  await bo.page.waitForSelector('[data-banner=lost]')
  await line.mend()
  await bo.page.waitForSelector('[data-link=open]', { timeout: 10_000 })
  await bo.page.waitForTimeout(4_000)
  expect(await bo.page.evaluate(() => window.__airloom!.room!.playback.state)).toBe('past')
  const said = await readMicrophone(ann.page)
  const heard = await readOutput(bo.page)
  const windows = found(said, heard, [cut - 1_000, Date.now() - 300], 6_000)
  expect(windows.length).toBeGreaterThan(4)
  expect(quantile(windows.map((w) => w.correlation), 0.3)).toBeGreaterThan(0.8)
  const where = windows.filter((w) => w.correlation > 0.8).map((w) => w.delayMs)
  expect(Math.max(...where) - Math.min(...where)).toBeLessThan(1_500) // it may wait for the new socket, but leaves nothing out
  line.close()
})

test('who left is heard in the past, and the roster shows who is here now', async () => {
  const ann = await someone('Ann', 0)
  await goLive(ann, edge, 'left')
  await ann.page.waitForTimeout(5_000)
  await ann.page.click('text=Leave')
  await ann.page.waitForSelector('text=You left')
  const bo = await someone('Bo')
  await listen(bo, edge, 'left')
  await bo.page.waitForSelector('.scrubber input:enabled', { timeout: 10_000 })
  await slider(bo.page).focus()
  await bo.page.keyboard.press('Home')
  await playing(bo.page, 'past')
  expect(await loudness(bo.page, 3_000)).toBeGreaterThan(0.005)
  expect(await roster(bo.page)).toEqual({ Bo: 'listening' })
  expect(await bo.page.locator('.scrubber').textContent()).toContain('the list shows who is here now')
  await bo.page.keyboard.press('End')
  await playing(bo.page, 'live')
  await bo.page.waitForTimeout(300)
  expect(await loudness(bo.page, 500)).toBe(0)
  expect(bo.problems).toEqual([])
})

test('catching up: faster until it is live, and live stays live', async () => {
  const { ann, bo } = await kept('catch', 6)
  await bo.page.evaluate(() => window.__airloom!.room!.rewind({ from: 4 }))
  await bo.page.getByRole('button', { name: 'Catch up' }).click()
  await bo.page.waitForSelector('text=Catching up')
  const began = Date.now()
  await bo.page.waitForSelector('.scrubber[data-playback=live]', { timeout: 15_000 })
  const live = Date.now()
  expect(live - began).toBeGreaterThan(4_000) // 4 s at half a second a second, not a jump
  await bo.page.waitForTimeout(3_000)
  const said = await readMicrophone(ann.page)
  const heard = await readOutput(bo.page)
  const after = found(said, heard, [live + 500, live + 3_000], 0)
  expect(quantile(after.map((w) => w.correlation), 0.5)).toBeGreaterThan(0.8)
  expect(quantile(after.map((w) => w.delayMs), 0.5)).toBeLessThan(600)
})

test('where nothing is kept the slider is off and says why, and asking for it is refused by name', async () => {
  edge.run('room', 'create', 'nothing', '--keep', 'none')
  const bo = await someone('Bo')
  await listen(bo, edge, 'nothing')
  await bo.page.waitForSelector('.scrubber input:disabled')
  expect(await bo.page.locator('.scrubber').textContent()).toContain('there is nothing to rewind to')
  const code = await bo.page.evaluate(() => window.__airloom!.room!.rewind({ from: 'start' }).then(() => '', (error) => error.code))
  expect(code).toBe('not_kept')
  expect(await bo.page.evaluate(() => window.__airloom!.room!.playback.state)).toBe('live')
})

test('the slider by keyboard, whole at every width, and without complaint from axe', async () => {
  const { bo } = await kept('whole', 6)
  await slider(bo.page).focus()
  expect(await slider(bo.page).getAttribute('aria-valuetext')).toMatch(/^live, \d\d:\d\d:\d\d$/)
  await bo.page.keyboard.press('PageDown') // 30 s: more than there is
  await playing(bo.page, 'past')
  expect(await slider(bo.page).getAttribute('aria-valuetext')).toMatch(/^\d+ seconds behind live/)
  for (const colorScheme of ['light', 'dark'] as const) {
    await bo.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const { violations } = await new AxeBuilder({ page: bo.page }).analyze()
    expect(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), colorScheme).toEqual([])
    for (const width of [360, 768, 1_280]) {
      await bo.page.setViewportSize({ width, height: 800 })
      expect(await bo.page.evaluate(() => document.documentElement.scrollWidth - innerWidth), `${width} px`).toBeLessThanOrEqual(0)
      if (process.env.AIRLOOM_SHOTS) await bo.page.screenshot({ path: `${process.env.AIRLOOM_SHOTS}/past-${colorScheme}-${width}.png` })
    }
  }
  expect(await slider(bo.page).evaluate((element) => getComputedStyle(element).outlineStyle)).not.toBe('none')
  await bo.page.keyboard.press('End')
  await playing(bo.page, 'live')
})

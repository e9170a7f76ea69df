// Hearing again what was said, by the sound itself: what a listener hears is found in what the speaker's microphone gave.
import { AxeBuilder } from '@axe-core/playwright'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { cable } from './cable'
import { type Edge, startEdge } from './harness.mjs'
import { type Person, arrive, goLive, listen, loudness, roster, rosterUntil } from './people'
import { coarse, find, quantile, rms } from './sound.mjs'
import { type Sound, readMicrophone, readOutput, tapMicrophone, tapOutput } from './taps.mjs'

let edge: Edge
let people: Person[] = []

beforeAll(async () => {
  edge = await startEdge()
})
afterEach(async () => {
  const all = people
  people = []
  await Promise.all(all.map((person) => person.close()))
})
afterAll(() => edge.stop())

async function someone(name: string, voice?: number): Promise<Person> {
  const person = await arrive(name, voice)
  people.push(person)
  return person
}

/** A busy machine may take a while from the microphone to the log. */
const REACH_MS = 2_000

const slider = (page: Page) => page.getByRole('slider', { name: 'Where you listen' })
const playing = (page: Page, state: string) => page.waitForSelector(`.scrubber[data-playback=${state}]`, { timeout: 10_000 })
const behindMs = (page: Page) => page.evaluate(() => window.__airloom!.room!.playback.behindMs)

/** Ann speaks, Bo listens, and the room has kept `seconds` of it. */
async function kept(room: string, seconds: number, to = edge): Promise<{ ann: Person; bo: Person }> {
  const [ann, bo] = await Promise.all([someone('Ann', 0), someone('Bo')])
  const [tapped] = await Promise.all([goLive(ann, edge, room).then(() => tapMicrophone(ann.page)).then(Date.now), listen(bo, to, room)])
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  await tapOutput(bo.page)
  await bo.page.waitForTimeout(Math.max(0, tapped + seconds * 1_000 - Date.now()))
  await expect.poll(() => bo.page.evaluate(async () => (await window.__airloom!.room!.window()) !== null), { timeout: 10_000 }).toBe(true)
  return { ann, bo }
}

/** Waits until the room can be heard again from so many milliseconds ago. */
const reach = (page: Page, ms: number) =>
  expect
    .poll(() => page.evaluate(async () => +window.__airloom!.room!.now - +((await window.__airloom!.room!.window())?.from ?? Infinity)), { timeout: 20_000, interval: 300 })
    .toBeGreaterThan(ms)

/** 400 ms at every 200 ms of what is heard between two moments: how long before it was said, looked for about `aboutMs` before, and how alike. */
function found(said: Sound, heard: Sound, [fromMs, toMs]: [number, number], aboutMs: number) {
  const [a, b] = [coarse(said, 4_000), coarse(heard, 4_000)]
  expect(a.rate).toBe(b.rate)
  const samples = (ms: number) => Math.round((ms / 1_000) * b.rate)
  const windows: { delayMs: number; correlation: number }[] = []
  for (let ms = fromMs; ms + 400 <= toMs; ms += 200) {
    const start = samples(ms - heard.startMs)
    const window = b.samples.subarray(start, start + samples(400))
    if (window.length < samples(400) || rms(window) < 0.01) continue
    const earliest = samples(ms - aboutMs - REACH_MS - said.startMs)
    const { lag, correlation } = find(window, a.samples, earliest, earliest + samples(2 * REACH_MS))
    windows.push({ delayMs: ms - said.startMs - (lag / a.rate) * 1_000, correlation })
  }
  return windows
}

/**
 * How long before it was said what is heard between two moments (ms). On a busy machine a tap loses samples and windows are less alike,
 * but they still agree on the time; in any other speech each window is found somewhere else.
 */
function saidBefore(said: Sound, heard: Sound, between: [number, number], aboutMs: number): number {
  const windows = found(said, heard, between, aboutMs)
  const middle = quantile(windows.map((w) => w.delayMs), 0.5)
  const agreeing = windows.filter((w) => Math.abs(w.delayMs - middle) < 150)
  const list = windows.map((w) => `${w.correlation.toFixed(2)} at ${Math.round(w.delayMs)} ms`).join(', ')
  expect(agreeing.length, list).toBeGreaterThanOrEqual(3)
  expect(agreeing.length / windows.length, list).toBeGreaterThan(0.6)
  expect(quantile(agreeing.map((w) => w.correlation), 0.8), list).toBeGreaterThan(0.6)
  return middle
}

test('ten seconds back with the keyboard: the sound of ten seconds before, from there on; then live again', async () => {
  const { ann, bo } = await kept('again', 2)
  await reach(bo.page, 10_300)
  await slider(bo.page).focus()
  await bo.page.keyboard.press('ArrowLeft')
  await bo.page.keyboard.press('ArrowLeft')
  await playing(bo.page, 'past')
  expect(await slider(bo.page).getAttribute('aria-valuetext')).toMatch(/^10 seconds behind live, \d\d:\d\d:\d\d$/)
  await expect.poll(() => behindMs(bo.page), { timeout: 5_000, interval: 100 }).toBeGreaterThan(9_000) // each key is a seek
  const past = await bo.page.evaluate(() => Date.now())
  await bo.page.waitForTimeout(2_200)
  expect(Math.abs((await behindMs(bo.page)) - 10_000)).toBeLessThan(500)
  await bo.page.getByRole('button', { name: 'Live', exact: true }).click()
  await playing(bo.page, 'live')
  const live = await bo.page.evaluate(() => Date.now())
  await bo.page.waitForTimeout(2_200)
  const [said, heard] = await Promise.all([readMicrophone(ann.page), readOutput(bo.page)])

  expect(Math.abs(saidBefore(said, heard, [past + 300, live - 300], 10_000) - 10_000)).toBeLessThan(1_500)
  expect(saidBefore(said, heard, [live + 300, live + 2_200], 0)).toBeLessThan(900)
  expect([...ann.problems, ...bo.problems]).toEqual([])
})

test('a cut in the past: the sound goes on where it was', async () => {
  const line = await cable(edge.url)
  const { ann, bo } = await kept('cut-past', 8, { ...edge, url: line.url })
  await bo.page.evaluate(() => window.__airloom!.room!.rewind({ from: 6 }))
  await bo.page.waitForTimeout(2_000)
  const cut = Date.now()
  line.cut()
  await bo.page.waitForSelector('[data-banner=lost]')
  await line.mend()
  await bo.page.waitForSelector('[data-link=open]', { timeout: 10_000 })
  const back = Date.now()
  await bo.page.waitForTimeout(4_200)
  expect(await bo.page.evaluate(() => window.__airloom!.room!.playback.state)).toBe('past')
  const said = await readMicrophone(ann.page)
  const heard = await readOutput(bo.page)
  const before = saidBefore(said, heard, [cut - 1_800, cut], 6_000)
  const after = saidBefore(said, heard, [back + 500, back + 4_000], 6_000)
  expect(after).toBeGreaterThan(before - 200) // it may have waited for the new socket, but left nothing out
  expect(after).toBeLessThan(before + 2_500)
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

test('a join that begins in the past hears what was said before it, from the first moment on', async () => {
  const { bo } = await kept('joined', 5)
  const found = await bo.page.evaluate(async () => {
    const airloom = window.__airloom!
    await airloom.room!.leave()
    const headers = { 'Content-Type': 'application/json' }
    const token = async () => (await (await fetch('/v1/tokens', { method: 'POST', headers, body: JSON.stringify({ room: 'joined' }) })).json()).token
    const room = await airloom.join({ edge: location.origin, room: 'joined', token, from: 4, rate: 1 })
    for await (const playback of room.each('playback')) if (playback.state === 'past') return playback
    return undefined
  })
  expect(found!.behindMs).toBeGreaterThan(3_000)
  expect(found!.behindMs).toBeLessThan(5_500)
  expect(await loudness(bo.page, 2_500)).toBeGreaterThan(0.005)
  expect(await behindMs(bo.page)).toBeGreaterThan(3_000)
})

/** The longest stretch without any sound at all, in ms, between two moments. */
function stillest(heard: Sound, fromMs: number, toMs: number): number {
  const at = (ms: number) => Math.round(((ms - heard.startMs) / 1_000) * heard.rate)
  let [longest, run] = [0, 0]
  for (const sample of heard.samples.subarray(at(fromMs), at(toMs))) {
    run = sample === 0 ? run + 1 : 0
    longest = Math.max(longest, run)
  }
  return (longest / heard.rate) * 1_000
}

test('from a seek to its sound, and from past to live, it takes a few hundred milliseconds at most', async () => {
  const { bo } = await kept('soon', 6)
  const moments: number[] = []
  for (const from of [5, 3, 4, 6, 0]) {
    moments.push(await bo.page.evaluate(() => performance.timeOrigin + performance.now()))
    await bo.page.evaluate(async (seconds) => {
      const room = window.__airloom!.room!
      if (seconds > 0) await room.rewind({ from: seconds })
      else await room.live()
    }, from)
    await bo.page.waitForTimeout(700)
  }
  const heard = await readOutput(bo.page)
  const gaps = moments.map((moment) => Math.round(stillest(heard, moment - 50, moment + 650)))
  console.log('ms without sound at four seeks and at live:', gaps.join(', '))
  expect(Math.max(...gaps)).toBeLessThan(300)
})

test('catching up: faster until it is live, and live stays live', async () => {
  const { ann, bo } = await kept('catch', 4)
  await bo.page.evaluate(() => window.__airloom!.room!.rewind({ from: 3 }))
  await bo.page.getByRole('button', { name: 'Catch up' }).click()
  await bo.page.waitForSelector('text=Catching up')
  const began = Date.now()
  await bo.page.waitForSelector('.scrubber[data-playback=live]', { timeout: 15_000 })
  const live = Date.now()
  expect(live - began).toBeGreaterThan(3_000) // 3 s at half a second a second, not a jump
  await bo.page.waitForTimeout(3_500)
  const said = await readMicrophone(ann.page)
  const heard = await readOutput(bo.page)
  expect(saidBefore(said, heard, [live + 500, live + 3_500], 0)).toBeLessThan(900)
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

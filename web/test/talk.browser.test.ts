// Speaking in one browser and hearing it in another; who is there; leaving; muting; volume.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Edge, startEdge } from './harness.mjs'
import { type Person, arrive, goLive, listen, loudness, rosterUntil } from './people'
import { delays, quantile, rms } from './sound.mjs'
import { readMicrophone, readOutput, tapMicrophone, tapOutput } from './taps.mjs'

let edge: Edge
let people: Person[] = []

beforeAll(async () => {
  edge = await startEdge()
})
afterEach(async () => {
  const all = people
  people = []
  for (const person of all) await person.close()
  for (const person of all) expect(person.problems, person.name).toEqual([])
})
afterAll(() => edge.stop())

async function someone(name: string, voice?: number): Promise<Person> {
  const person = await arrive(name, voice)
  people.push(person)
  return person
}

test('what one says another hears', async () => {
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo')
  await goLive(ann, edge, 'heard')
  await listen(bo, edge, 'heard')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  await tapOutput(bo.page)
  await tapMicrophone(ann.page)
  await ann.page.waitForTimeout(12_000)
  const said = await readMicrophone(ann.page)
  const heard = await readOutput(bo.page)
  expect(rms(said.samples)).toBeGreaterThan(0.01)
  expect(rms(heard.samples)).toBeGreaterThan(0.5 * rms(said.samples))
  const windows = delays(said, heard, { windowMs: 400, maxMs: 900 })
  expect(windows.length).toBeGreaterThan(4)
  expect(quantile(windows.map((w) => w.correlation), 0.5)).toBeGreaterThan(0.8)
  expect(quantile(windows.map((w) => w.delayMs), 0.5)).toBeLessThan(600)
})

test('muting is seen and heard, and undone', async () => {
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo')
  await goLive(ann, edge, 'mute')
  await listen(bo, edge, 'mute')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  expect(await loudness(bo.page, 3_000)).toBeGreaterThan(0.005)

  await ann.page.click('button:has-text("Mute")')
  await rosterUntil(bo.page, (who) => who.Ann === 'muted')
  await bo.page.waitForTimeout(1_000)
  expect(await loudness(bo.page, 3_000)).toBe(0)

  await ann.page.click('button:has-text("Unmute")')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 15_000)
  expect(await loudness(bo.page, 3_000)).toBeGreaterThan(0.005)
})

test('each speaker has a volume', async () => {
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo')
  await goLive(ann, edge, 'volume')
  await listen(bo, edge, 'volume')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  await bo.page.getByLabel('Volume of Ann').fill('0')
  await bo.page.waitForTimeout(500)
  expect(await loudness(bo.page, 2_000)).toBeLessThan(0.0005)
  await bo.page.getByLabel('Volume of Ann').fill('100')
  await bo.page.waitForTimeout(500)
  expect(await loudness(bo.page, 4_000)).toBeGreaterThan(0.005)
})

test('a picked file is played to the room', async () => {
  const ann = await someone('Ann')
  const bo = await someone('Bo')
  await listen(bo, edge, 'file')
  await ann.page.goto(`${edge.url}/room/file`)
  await ann.page.fill('input[name=name]', 'Ann')
  await ann.page.getByText('Sound file').click()
  const { speechWav } = await import('./harness.mjs')
  await ann.page.setInputFiles('input[type=file]', speechWav(60, 2))
  await ann.page.click('button:has-text("Go live")')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 15_000)
  expect(await loudness(bo.page, 3_000)).toBeGreaterThan(0.005)
})

test('a browser without MediaStreamTrackProcessor captures through a worklet', async () => {
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo')
  await ann.page.addInitScript(() => {
    delete (window as any).MediaStreamTrackProcessor
  })
  await goLive(ann, edge, 'worklet')
  await listen(bo, edge, 'worklet')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  expect(await loudness(bo.page, 4_000)).toBeGreaterThan(0.005)
})

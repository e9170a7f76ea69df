// What goes wrong, and the words for it; what comes back by itself.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { cable } from './cable'
import { type Edge, startEdge } from './harness.mjs'
import { type Person, arrive, goLive, listen, loudness, rosterUntil, session } from './people'

let edge: Edge
let people: Person[] = []

beforeAll(async () => {
  edge = await startEdge()
})
afterEach(async () => {
  for (const person of people) await person.close()
  people = []
})
afterAll(() => edge.stop())

async function someone(name: string, voice?: number, options: Parameters<typeof arrive>[2] = {}): Promise<Person> {
  const person = await arrive(name, voice, options)
  people.push(person)
  return person
}

test('what is kept is shown before the microphone opens', async () => {
  for (const [room, keep, words] of [
    ['kept-record', 'record', 'This room is recorded'],
    ['kept-rewind', 'rewind', 'kept for rewind'],
    ['kept-none', 'none', 'Nothing is kept'],
  ] as const) {
    edge.run('room', 'create', room, '--keep', keep)
    const ann = await someone('Ann', 0)
    await ann.page.addInitScript(() => {
      const media = navigator.mediaDevices
      const real = media.getUserMedia.bind(media)
      media.getUserMedia = async (constraints) => {
        ;(window as any).__shownBefore = document.querySelector('[data-keep]')?.textContent ?? ''
        return real(constraints)
      }
    })
    await ann.page.goto(`${edge.url}/room/${room}`)
    await ann.page.waitForSelector(`[data-keep=${keep}]`)
    expect(await ann.page.evaluate(() => (window as any).__shownBefore)).toBeUndefined()
    await ann.page.click('text=Allow the microphone')
    await ann.page.waitForSelector('.meter')
    expect(await ann.page.evaluate(() => (window as any).__shownBefore)).toContain(words)
    await ann.close()
    people = []
  }
})

test('a refused microphone is explained, and listening still works', async () => {
  const ann = await someone('Ann', undefined, { refuseMicrophone: true })
  await ann.page.goto(`${edge.url}/room/refused`)
  await ann.page.click('text=Allow the microphone')
  const words = await ann.page.waitForSelector('[data-error=microphone_refused]')
  expect(await words.textContent()).toContain('did not allow the microphone')
  await ann.page.click('button:has-text("Enter without speaking")')
  await ann.page.waitForSelector('[data-link=open]')
})

test('a list of devices that comes while the button is pressed does not move it away from under the click', async () => {
  const ann = await someone('Ann', 0)
  await ann.page.addInitScript(() => {
    const media = navigator.mediaDevices
    const real = media.enumerateDevices.bind(media)
    const pressed = new Promise((resolve) => addEventListener('pointerdown', resolve, { capture: true, once: true }))
    media.enumerateDevices = async () => {
      const list = await real()
      await pressed
      return list
    }
  })
  await ann.page.goto(`${edge.url}/room/steady`)
  const button = ann.page.locator('button:has-text("Allow the microphone")')
  const box = (await button.boundingBox())!
  await ann.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  await ann.page.mouse.down()
  await ann.page.waitForSelector('option:has-text("Fake Audio Input 1")', { state: 'attached' })
  expect(await button.boundingBox()).toEqual(box)
  await ann.page.mouse.up()
  await ann.page.waitForSelector('button:has-text("Go live")')
})

test('a browser without what is needed is told what it lacks', async () => {
  const ann = await someone('Ann', 0)
  await ann.page.addInitScript(() => {
    delete (window as any).AudioEncoder
  })
  await ann.page.goto(`${edge.url}/room/lacking`)
  const words = await ann.page.waitForSelector('[data-error=unsupported]')
  expect(await words.textContent()).toContain('AudioEncoder')
  expect(await ann.page.isVisible('text=Allow the microphone')).toBe(false)
})

test('where sound waits for a click, one big button starts it', async () => {
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo', undefined, { autoplay: false })
  await goLive(ann, edge, 'blocked')
  await listen(bo, edge, 'blocked')
  await bo.page.click('button:has-text("Start the sound")')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  expect(await loudness(bo.page, 4_000)).toBeGreaterThan(0.005)
  expect(await bo.page.isVisible('text=Start the sound')).toBe(false)
})

test('a full room says so', async () => {
  edge.run('room', 'create', 'small', '--capacity', '1')
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo', 1)
  await goLive(ann, edge, 'small')
  await bo.page.goto(`${edge.url}/room/small`)
  await bo.page.waitForSelector('text=1 of 1')
  await bo.page.click('text=Allow the microphone')
  await bo.page.click('button:has-text("Go live")')
  const words = await bo.page.waitForSelector('[data-error=room_full]')
  expect(await words.textContent()).toContain('The room is full')
  await ann.page.click('text=Leave')
  await ann.page.waitForSelector('text=You left')
  await bo.page.click('button:has-text("Go live")')
  await bo.page.waitForSelector('[data-link=open]')
})

test('a closed room says so, before entering and to those inside', async () => {
  edge.run('room', 'create', 'closing')
  const ann = await someone('Ann', 0)
  await goLive(ann, edge, 'closing')
  edge.run('room', 'close', 'closing')
  expect(await (await ann.page.waitForSelector('[data-error=room_closed]')).textContent()).toContain('The room is closed')
  const bo = await someone('Bo')
  await bo.page.goto(`${edge.url}/room/closing`)
  await bo.page.waitForSelector('[data-error=room_closed]')
  expect(await bo.page.isDisabled('button:has-text("Enter without speaking")')).toBe(true)
})

test('a cut connection comes back by itself, as the same session, and is heard again', async () => {
  const line = await cable(edge.url)
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo')
  await goLive(ann, { ...edge, url: line.url }, 'cut')
  await listen(bo, edge, 'cut')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  const before = await session(ann.page)
  line.cut()
  await ann.page.waitForSelector('[data-banner=lost]')
  await rosterUntil(bo.page, (who) => who.Ann === 'away', 15_000)
  await line.mend()
  await ann.page.waitForSelector('[data-link=open]', { timeout: 20_000 })
  expect(await session(ann.page)).toBe(before)
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 15_000)
  expect(await loudness(bo.page, 3_000)).toBeGreaterThan(0.005)
  await expect.poll(() => ann.page.evaluate(async () => (await window.__airloom!.stats()).published[0]), { timeout: 20_000 }).toMatchObject({ gaps: 0 })
  const resent = await ann.page.evaluate(async () => (await window.__airloom!.stats()).published[0]!.resent)
  expect(resent).toBeGreaterThan(0)
  await expect.poll(() => ann.page.evaluate(async () => (await window.__airloom!.stats()).published[0]!.unackedMs), { timeout: 20_000 }).toBeLessThan(1_500)
  line.close()
})

test('leaving without a connection: what nobody is known to have is told, after leaving too', async () => {
  const line = await cable(edge.url)
  const ann = await someone('Ann', 0)
  await goLive(ann, { ...edge, url: line.url }, 'unsaid')
  line.cut()
  await ann.page.waitForSelector('[data-banner=lost]')
  const unacked = () => ann.page.evaluate(async () => (await window.__airloom!.stats()).published[0]!.unackedMs)
  await expect.poll(unacked, { timeout: 20_000 }).toBeGreaterThan(4_000)
  await ann.page.click('text=Leave')
  const told = ann.page.getByRole('alert').locator('[data-banner=unkept]')
  await expect.poll(() => told.textContent(), { timeout: 10_000 }).toMatch(/Up to \d+ s of what you said may not be kept/)
  await told.getByRole('button').click()
  expect(await ann.page.isVisible('[data-banner=unkept]')).toBe(false)
  line.close()
})

test('a restarted edge: back by itself, as the same session', async () => {
  if (!edge.own) throw new Error('needs an edge of its own: unset AIRLOOM_URL')
  const ann = await someone('Ann', 0)
  const bo = await someone('Bo')
  await goLive(ann, edge, 'restart')
  await listen(bo, edge, 'restart')
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  const before = [await session(ann.page), await session(bo.page)]
  await edge.stop()
  await ann.page.waitForSelector('[data-banner=lost]')
  await edge.start()
  for (const { page } of [ann, bo]) await page.waitForSelector('[data-link=open]', { timeout: 25_000 })
  expect([await session(ann.page), await session(bo.page)]).toEqual(before)
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 15_000)
  expect(await loudness(bo.page, 4_000)).toBeGreaterThan(0.005)
})

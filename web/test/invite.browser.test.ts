// An edge that is open to the network lets nobody in without an invite.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Edge, startEdge } from './harness.mjs'
import { type Person, arrive, listen, loudness, rosterUntil } from './people'

let edge: Edge
let people: Person[] = []
beforeAll(async () => {
  edge = await startEdge({ open: true })
})
afterEach(async () => {
  for (const person of people) await person.close()
  people = []
})
afterAll(() => edge.stop())

async function someone(name: string, voice?: number): Promise<Person> {
  const person = await arrive(name, voice)
  people.push(person)
  return person
}

test('without an invite the pages say that one is needed', async () => {
  const { page } = await someone('Ann')
  for (const path of ['/', '/room/hall', '/listen/hall', '/recordings']) {
    await page.goto(edge.url + path)
    expect(await (await page.waitForSelector('[data-error=unauthorized]')).textContent(), path).toContain('You need an invite')
  }
})

test('the owner enters by the invite and brings others in by a link', async () => {
  const ann = await someone('Ann', 0)
  await ann.context.grantPermissions(['clipboard-read', 'clipboard-write', 'microphone'], { origin: edge.url })
  await ann.page.goto(`${edge.url}/#invite=${edge.invite}`)
  await ann.page.waitForSelector('text=No room is open yet')
  expect(ann.page.url()).toBe(`${edge.url}/`) // not left in the address bar
  await ann.page.fill('input[name=room]', 'Invited Guests')
  await ann.page.click('text=Talk and listen')
  expect(ann.page.url()).toBe(`${edge.url}/room/invited-guests`)
  await ann.page.fill('input[name=name]', 'Ann')
  await ann.page.click('text=Allow the microphone')
  await ann.page.click('button:has-text("Go live")')
  await ann.page.waitForSelector('button:has-text("Mute")')
  await ann.page.click('text=Copy link')
  await ann.page.waitForSelector('[data-banner=note]')
  const link = await ann.page.evaluate(() => navigator.clipboard.readText())
  expect(link).toContain('/room/invited-guests#invite=')

  const bo = await someone('Bo')
  await bo.page.goto(link)
  await bo.page.waitForSelector('[data-keep]')
  await listen(bo, edge, 'invited-guests')
  await rosterUntil(ann.page, (who) => 'Bo' in who)
  await rosterUntil(bo.page, (who) => who.Ann === 'speaking', 10_000)
  expect(await loudness(bo.page, 4_000)).toBeGreaterThan(0.005)

  await bo.page.goto(`${edge.url}/room/another`) // the link opens its own room alone
  await bo.page.waitForSelector('[data-error=forbidden]')
})

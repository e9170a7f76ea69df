// Within a second of what one does, the others see it: stamped in the page where it is done and in each page that shows it.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Edge, startEdge, turnsWav } from './harness.mjs'
import { type Person, arrive, goLive } from './people'
import { actOn, seenAfter, watch, watchVoice } from './watch'

const PROMPT_MS = 1_000

let edge: Edge
let ann: Person
let bo: Person

beforeAll(async () => {
  edge = await startEdge()
})
afterAll(() => edge.stop())

async function meet(room: string): Promise<void> {
  ann = await arrive('Ann', undefined, { wav: turnsWav(4, 3) })
  bo = await arrive('Bo', undefined, { wav: turnsWav(5, 3) })
  for (const { page } of [ann, bo]) await watch(page)
  await goLive(ann, edge, room)
  await goLive(bo, edge, room)
}
afterEach(async () => {
  for (const person of [ann, bo]) {
    await person.close()
    expect(person.problems, person.name).toEqual([])
  }
})

type Such = (roster: Record<string, string>) => boolean

/** How long it took each of these pages to show what was done on `by`'s, all at most a second. */
async function prompt(by: Person, what: string, seenBy: Person[], such: Such): Promise<void> {
  const at = await actOn(by.page, what)
  for (const { page, name } of seenBy) {
    expect(await seenAfter(page, at, such), `“${what}” of ${by.name}, as ${name} sees it`).toBeLessThanOrEqual(PROMPT_MS)
  }
}

test('a join, a mute, its undoing and a leave are seen in both browsers within a second', async () => {
  await meet('prompt')
  await prompt(bo, 'Go live', [ann, bo], (who) => 'Ann' in who && 'Bo' in who)

  for (const [one, other] of [[ann, bo], [bo, ann]] as const) {
    await one.page.click('button:has-text("Mute")')
    await one.page.waitForSelector('button:has-text("Unmute")')
    await prompt(one, 'Mute', [one, other], (who) => who[one.name] === 'muted')
    await one.page.click('button:has-text("Unmute")')
    await one.page.waitForSelector('button:has-text("Mute")')
    await prompt(one, 'Unmute', [one, other], (who) => ['quiet', 'speaking'].includes(who[one.name]!))
  }

  await bo.page.click('text=Leave')
  await prompt(bo, 'Leave', [ann], (who) => 'Ann' in who && !('Bo' in who))
  await ann.page.click('text=Leave')
  await ann.page.waitForSelector('text=You left')
})

test('who speaks, and who has stopped, is seen in both browsers within a second', async () => {
  await meet('turns')
  for (const [one, other] of [[ann, bo], [bo, ann]] as const) {
    await watchVoice(one.page)
    const turn = await one.page.evaluate(async () => {
      // A turn as it is taken: silence for so long that it is shown, then a voice for a while.
      const acts = () => window.__acts!.filter(({ what }) => what === 'voice' || what === 'silence')
      for (;;) {
        const [quiet, voice, end] = acts().slice(-3)
        const whole = quiet?.what === 'silence' && end?.what === 'silence'
        if (whole && voice!.at - quiet.at > 1_500 && end.at - voice!.at > 600) return { begins: voice!.at, ends: end.at }
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })
    for (const { page, name } of [one, other]) {
      const began = await seenAfter(page, turn.begins, (who) => who[one.name] === 'speaking')
      expect(began, `${one.name} speaks, as ${name} sees it`).toBeLessThanOrEqual(PROMPT_MS)
      const ended = await seenAfter(page, turn.ends, (who) => who[one.name] === 'quiet')
      expect(ended, `${one.name} stops, as ${name} sees it`).toBeLessThanOrEqual(PROMPT_MS)
    }
  }
})

// The pages themselves: reachable by keyboard, named for those who do not see them, whole at every width.
import { AxeBuilder } from '@axe-core/playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Edge, startEdge } from './harness.mjs'
import { type Person, arrive, goLive } from './people'

let edge: Edge
let ann: Person
beforeAll(async () => {
  edge = await startEdge()
  ann = await arrive('Ann', 0)
})
afterAll(async () => {
  await ann.close()
  await edge.stop()
})

async function check(what: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page: ann.page }).analyze()
  expect(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), what).toEqual([])
  expect(await ann.page.locator('main').count(), what).toBe(1)
  expect(await ann.page.locator('h1').count(), what).toBe(1)
  for (const width of [360, 768, 1_280]) {
    await ann.page.setViewportSize({ width, height: 800 })
    const over = await ann.page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(over, `${what} at ${width} px`).toBeLessThanOrEqual(0)
  }
}

test.each(['light', 'dark'] as const)('no complaint from axe, one main and one h1, nothing cut off (%s)', async (colorScheme) => {
  await ann.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
  for (const path of ['/', '/room/pages', '/recordings']) {
    await ann.page.goto(edge.url + path)
    await ann.page.waitForTimeout(500)
    await check(`${colorScheme} ${path}`)
  }
  await goLive(ann, edge, 'pages')
  await check(`${colorScheme} live`)
  await ann.page.click('text=Leave')
  await ann.page.waitForSelector('text=You left')
  await check(`${colorScheme} over`)
})

test('what is told in passing moves nothing', async () => {
  await ann.page.setViewportSize({ width: 1_280, height: 800 })
  await goLive(ann, edge, 'note')
  const top = () => ann.page.locator('.people').evaluate((people) => people.getBoundingClientRect().top)
  const before = await top()
  await ann.page.click('text=Copy link')
  await ann.page.waitForSelector('[data-banner=note]')
  expect(await top()).toBe(before)
  await ann.page.click('text=Leave')
  await ann.page.waitForSelector('text=You left')
})

test('a room is entered, muted and left with the keyboard alone', async () => {
  const { keyboard } = ann.page
  const to = async (name: string) => {
    for (let i = 0; i < 40; i++) {
      await keyboard.press('Tab')
      if (await ann.page.evaluate((wanted) => document.activeElement?.textContent?.includes(wanted), name)) return
    }
    throw new Error(`no way to “${name}” with the keyboard`)
  }
  await ann.page.goto(`${edge.url}/room/keys`)
  await ann.page.waitForSelector('text=Allow the microphone')
  await to('Allow the microphone')
  await keyboard.press('Enter')
  await ann.page.waitForSelector('.meter')
  await to('Go live')
  await keyboard.press('Enter')
  await ann.page.waitForSelector('button:has-text("Mute")')
  await to('Mute')
  await keyboard.press('Space')
  await ann.page.waitForSelector('button:has-text("Unmute")')
  await to('Leave')
  await keyboard.press('Enter')
  await ann.page.waitForSelector('text=You left')
})

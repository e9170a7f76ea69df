// What was said is on the recordings page, and plays.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Edge, startEdge } from './harness.mjs'
import { arrive, goLive } from './people'

let edge: Edge
beforeAll(async () => {
  edge = await startEdge()
})
afterAll(() => edge.stop())

test('a recording appears, plays and is downloaded', async () => {
  const ann = await arrive('Ann', 0)
  edge.run('room', 'create', 'taped', '--keep', 'record')
  await goLive(ann, edge, 'taped')
  await ann.page.waitForTimeout(6_000)
  await ann.page.click('text=Leave')
  await ann.page.waitForSelector('text=You left')

  await ann.page.goto(`${edge.url}/recordings`)
  const card = ann.page.locator('.recording-card', { hasText: 'taped' })
  await card.waitFor()
  await ann.page.waitForSelector('.recording-card[data-state=closed] button[aria-label="Play Ann"]:enabled', { timeout: 40_000 })
  expect(await card.textContent()).toContain('complete')
  await ann.page.click('button[aria-label="Play Ann"]')
  const audio = () =>
    ann.page.evaluate(() => {
      const element = document.querySelector('audio')!
      return { at: element.currentTime, duration: element.duration, paused: element.paused, error: element.error?.message ?? null }
    })
  await expect.poll(async () => (await audio()).at, { timeout: 10_000 }).toBeGreaterThan(1)
  const playing = await audio()
  expect(playing.error).toBeNull()
  expect(playing.duration).toBeGreaterThan(4)
  const download = ann.page.waitForEvent('download')
  await ann.page.click('button[aria-label="Download Ann"]')
  expect((await download).suggestedFilename()).toMatch(/^taped-Ann-.*opus$/)
  expect(ann.problems).toEqual([])
  await ann.close()
})

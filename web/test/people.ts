// What a person does on the pages, by the words they see.

import type { Page } from 'playwright-core'
import { type Browser, type Edge, launch, speechWav } from './harness.mjs'
import { prepare } from './taps.mjs'

export interface Person extends Browser {
  name: string
}

/** A browser of one's own, with speech as its microphone when `voice` is given. */
export async function arrive(name: string, voice?: number, options: Parameters<typeof launch>[0] = {}): Promise<Person> {
  const browser = await launch({ ...options, ...(voice === undefined ? {} : { wav: speechWav(60, voice) }) })
  await prepare(browser.page)
  return { ...browser, name }
}

/** To the room's page, the microphone allowed, live. */
export async function goLive({ page, name, problems }: Person, edge: Edge, room: string): Promise<void> {
  await page.goto(`${edge.url}/room/${room}`)
  await page.fill('input[name=name]', name)
  await page.click('text=Allow the microphone')
  await page.click('button:has-text("Go live")').catch(async (error: Error) => {
    throw new Error(`${error.message}\nthe page: ${await page.locator('main').innerText()}\nits problems: ${problems.join(' ')}`)
  })
  await page.waitForSelector('button:has-text("Mute")')
}

export async function listen({ page, name }: Person, edge: Edge, room: string): Promise<void> {
  await page.addInitScript((saved) => localStorage.setItem('airloom.name', saved), name)
  await page.goto(`${edge.url}/listen/${room}`)
  await page.waitForSelector('[data-link=open]')
}

/** The roster as the page shows it: name, and how a speaker's card stands. */
export const roster = (page: Page): Promise<Record<string, string>> =>
  page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll<HTMLElement>('.card, .chip')].map((element) => [
        element.querySelector('.name')!.textContent,
        element.dataset.state ?? (element.classList.contains('away') ? 'away' : 'listening'),
      ]),
    ),
  )

/** Waits until the roster satisfies; says how long that took and what was there when it did not. */
export async function rosterUntil(page: Page, satisfied: (roster: Record<string, string>) => boolean, withinMs = 5_000): Promise<number> {
  const started = Date.now()
  for (;;) {
    const now = await roster(page)
    if (satisfied(now)) return Date.now() - started
    if (Date.now() - started > withinMs) throw new Error(`the roster did not get there: ${JSON.stringify(now)}`)
    await page.waitForTimeout(20)
  }
}

export const session = (page: Page): Promise<string> => page.evaluate(() => window.__airloom!.room!.session)

/** Root mean square of what a page plays over the next moments. */
export async function loudness(page: Page, ms = 1_500): Promise<number> {
  return page.evaluate(async (duration) => {
    const { output } = window.__airloom!
    const analyser = new AnalyserNode(output.context, { fftSize: 2_048 })
    output.node.connect(analyser)
    const samples = new Float32Array(2_048)
    let [sum, count] = [0, 0]
    const ends = performance.now() + duration
    while (performance.now() < ends) {
      await new Promise((resolve) => setTimeout(resolve, 40))
      analyser.getFloatTimeDomainData(samples)
      for (const sample of samples) sum += sample * sample
      count += samples.length
    }
    output.node.disconnect(analyser)
    return Math.sqrt(sum / count)
  }, ms)
}

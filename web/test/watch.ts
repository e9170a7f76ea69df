// When things are done on one page and seen on another: both run on one machine, so their clocks are one.

import type { Page } from 'playwright-core'

/** A moment, in UTC milliseconds. */
interface Act {
  at: number
  what: string
}
/** The roster from this moment on: how each person's card or chip stands. */
interface Sighting {
  at: number
  roster: Record<string, string>
}

declare global {
  interface Window {
    __acts?: Act[]
    __sightings?: Sighting[]
  }
}

/** Call before the page is opened: from then on clicks and changes of the roster are stamped as they happen, in the page. */
export const watch = (page: Page): Promise<unknown> =>
  page.addInitScript(() => {
    const now = () => performance.timeOrigin + performance.now()
    window.__acts = []
    window.__sightings = []
    const clicked = ({ target }: Event) => {
      const button = (target as Element).closest('button')
      if (button) window.__acts!.push({ at: now(), what: button.textContent!.trim() })
    }
    addEventListener('click', clicked, true)
    let before = ''
    const look = () => {
      const entries = [...document.querySelectorAll<HTMLElement>('.live .card, .live .chip')].map((element) => [
        element.querySelector('.name')!.textContent,
        element.dataset.state ?? (element.classList.contains('away') ? 'away' : 'listening'),
      ])
      const roster = Object.fromEntries(entries)
      const after = JSON.stringify(roster)
      if (after === before) return
      before = after
      window.__sightings!.push({ at: now(), roster })
    }
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
  })

/** From then on what the microphone hears of the person, by the detector's word, is an act: `voice` and `silence`. */
export const watchVoice = (page: Page): Promise<void> =>
  page.evaluate(() => {
    let speaks = false
    window.__airloom!.sources[0]!.on('level', ({ voice }) => {
      if (voice === speaks) return
      speaks = voice
      window.__acts!.push({ at: performance.timeOrigin + performance.now(), what: voice ? 'voice' : 'silence' })
    })
  })

/** When something was last done on a page. */
export async function actOn(page: Page, what: string): Promise<number> {
  const act = await page.evaluate((wanted) => window.__acts!.findLast((one) => one.what === wanted), what)
  if (!act) throw new Error(`“${what}” was not done`)
  return act.at
}

/** Milliseconds from a moment until a page's roster was such for the first time after it, waiting for that. */
export async function seenAfter(page: Page, at: number, such: (roster: Record<string, string>) => boolean, withinMs = 10_000): Promise<number> {
  const ends = Date.now() + withinMs
  for (;;) {
    const sightings = await page.evaluate(() => window.__sightings!)
    const before = sightings.findLast((one) => one.at <= at)
    if (before && such(before.roster)) throw new Error(`it was so before: ${JSON.stringify(before.roster)}`)
    const seen = sightings.find((one) => one.at > at && such(one.roster))
    if (seen) return seen.at - at
    if (Date.now() > ends) throw new Error(`it was not seen: ${JSON.stringify(sightings.filter((one) => one.at > at))}`)
    await page.waitForTimeout(100)
  }
}

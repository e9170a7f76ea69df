import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findBrowser } from './find-browser.mjs'

let [near, far] = ['', '']
beforeEach(() => {
  near = mkdtempSync(join(tmpdir(), 'airloom-near-'))
  far = mkdtempSync(join(tmpdir(), 'airloom-far-'))
})
afterEach(() => {
  for (const folder of [near, far]) rmSync(folder, { recursive: true })
})

function program(folder: string, name: string, mode = 0o755): string {
  const path = join(folder, name)
  writeFileSync(path, '', { mode })
  return path
}
const inPath = (more = {}) => ({ PATH: `${near}:${far}`, ...more })

test.each(['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'])('%s is found in PATH', (name) => {
  const path = program(far, name)
  expect(findBrowser(inPath())).toBe(path)
})

test('Chromium goes before Chrome, and what cannot be run does not count', () => {
  program(near, 'google-chrome')
  program(near, 'chromium', 0o644)
  const path = program(far, 'chromium')
  expect(findBrowser(inPath())).toBe(path)
})

test('AIRLOOM_BROWSER decides, as a path or as a name', () => {
  program(near, 'chromium')
  const path = program(far, 'brave')
  expect(findBrowser(inPath({ AIRLOOM_BROWSER: path }))).toBe(path)
  expect(findBrowser(inPath({ AIRLOOM_BROWSER: 'brave' }))).toBe(path)
  expect(() => findBrowser(inPath({ AIRLOOM_BROWSER: `${far}/none` }))).toThrow('no program at')
})

test('without any it says what to do', () => {
  expect(() => findBrowser(inPath())).toThrow('scripts/setup tools')
})

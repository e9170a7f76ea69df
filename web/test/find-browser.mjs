// Which browser the tests and the bench run in.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** AIRLOOM_BROWSER (a path, or a name in PATH), else the first Chromium in PATH. Throws when there is none. */
export function findBrowser(env = process.env) {
  const wanted = env.AIRLOOM_BROWSER
  if (wanted && wanted.includes('/')) {
    if (executable(wanted)) return wanted
    throw new Error(`AIRLOOM_BROWSER: no program at ${wanted}`)
  }
  const names = wanted ? [wanted] : NAMES
  const folders = (env.PATH ?? '').split(delimiter).filter(Boolean)
  for (const name of names) for (const folder of folders) if (executable(join(folder, name))) return join(folder, name)
  throw new Error(`no ${names.join(', ')} in PATH: run scripts/setup tools, or set AIRLOOM_BROWSER to a Chromium`)
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

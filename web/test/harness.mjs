// What the browser tests and the bench share: an edge to talk to, speech to say, browsers to say it in.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { findBrowser } from './find-browser.mjs'

const BINARY = process.env.AIRLOOM_BIN ?? fileURLToPath(new URL('../../bin/airloom', import.meta.url))
/** Debian's asterisk-core-sounds-en-wav: prompts spoken by a person, 8 kHz. */
const SPEECH = process.env.AIRLOOM_SPEECH ?? '/usr/share/asterisk/sounds/en_US_f_Allison'

export const scratch = mkdtempSync(join(tmpdir(), 'airloom-browser-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

export async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/**
 * An `airloom up` of its own; it can be ended and started again on the same port and data. An `open` one listens on all
 * addresses, gives tokens to nobody without an invite, and prints its owner's, which is `edge.invite`.
 * With AIRLOOM_URL the one that runs there, which cannot be ended.
 */
export async function startEdge({ open = false } = {}) {
  if (process.env.AIRLOOM_URL && !open) return { url: process.env.AIRLOOM_URL, own: false, stop: async () => {}, start: async () => {} }
  if (!existsSync(BINARY)) throw new Error(`no binary at ${BINARY}: build it (./task build) or set AIRLOOM_BIN`)
  const port = await freePort()
  const data = mkdtempSync(join(scratch, 'data-'))
  let child
  const edge = {
    url: `http://127.0.0.1:${port}`,
    own: true,
    log: '',
    invite: '',
    async start() {
      child = spawn(BINARY, ['up', '--listen', `${open ? '0.0.0.0' : '127.0.0.1'}:${port}`, '--data', data], { stdio: ['ignore', 'pipe', 'pipe'] })
      child.stderr.on('data', (text) => (edge.log += text))
      await new Promise((resolve, reject) => {
        let out = ''
        child.stdout.on('data', (text) => {
          out += text
          edge.invite = /#invite=(\S+)/.exec(out)?.[1] ?? ''
          if (out.includes('ready http') && (!open || edge.invite)) resolve()
        })
        child.once('exit', (code) => reject(new Error(`airloom up ended with ${code}: ${out}${edge.log}`)))
      })
    },
    async stop(signal = 'SIGTERM') {
      if (!child || child.exitCode !== null) return
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill(signal)
      const hard = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await gone
      clearTimeout(hard)
    },
    /** Runs the same program against this edge and gives what it prints. */
    run: (...args) => execFileSync(BINARY, args, { encoding: 'utf8', timeout: 60_000, env: { ...process.env, AIRLOOM_URL: edge.url } }),
  }
  await edge.start()
  process.on('exit', () => child?.kill('SIGKILL'))
  return edge
}

/** At least `seconds` of speech as 48 kHz mono; another `voice` is other sentences. */
export function speechWav(seconds, voice = 0) {
  const path = join(scratch, `speech-${seconds}-${voice}.wav`)
  if (existsSync(path)) return path
  const files = soundsIn(SPEECH)
  const list = []
  for (let at = voice * 40, total = 0; total < seconds; at++) {
    const file = files[at % files.length]
    const length = Number(execFileSync('soxi', ['-D', file], { encoding: 'utf8' }))
    if (length < 1) continue
    list.push(file)
    total += length
  }
  execFileSync('sox', [...list, '-r', '48000', '-c', '1', '-b', '16', path, 'gain', '-n', '-3'])
  return path
}

/** Somebody who speaks for `on` seconds and is silent for `off` seconds, over and over for as long as it is played. */
export function turnsWav(on, off) {
  const path = join(scratch, `turns-${on}-${off}.wav`)
  if (!existsSync(path)) execFileSync('sox', [speechWav(on + 10), path, 'trim', '0', String(on), 'pad', '0', String(off)])
  return path
}

function soundsIn(folder) {
  const found = existsSync(folder) ? folder : '/usr/share/asterisk/sounds/en'
  if (!existsSync(found)) throw new Error('no speech: install asterisk-core-sounds-en-wav or set AIRLOOM_SPEECH to a folder of WAV files')
  return readdirSync(found, { recursive: true })
    .filter((name) => String(name).endsWith('.wav'))
    .sort()
    .map((name) => join(found, String(name)))
}

/** A browser process with a profile of its own and, when given, a WAV as its microphone. */
export async function launch({ wav, flags = [], refuseMicrophone = false, autoplay = true, ...options } = {}) {
  const profile = mkdtempSync(join(scratch, 'profile-'))
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--use-fake-device-for-media-stream',
    ...(refuseMicrophone ? ['--deny-permission-prompts'] : ['--use-fake-ui-for-media-stream']),
    ...(wav ? [`--use-file-for-fake-audio-capture=${wav}`] : []),
    `--autoplay-policy=${autoplay ? 'no-user-gesture-required' : 'document-user-activation-required'}`,
    ...flags,
  ]
  const context = await chromium.launchPersistentContext(profile, { executablePath: findBrowser(), headless: true, args, ...options })
  const page = context.pages()[0] ?? (await context.newPage())
  const problems = []
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
  return { context, page, problems, close: () => context.close() }
}

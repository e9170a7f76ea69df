// Browser to browser: a speech WAV is the microphone of one Chromium, another one listens; the delay between captured and
// played sound by correlation, and the glitches on the way. Prints one JSON object. `--seconds 35` is how long it listens
// after `--warm 8` seconds.
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { launch, speechWav, startEdge } from '../test/harness.mjs'
import { delays, quantile, rms } from '../test/sound.mjs'
import { prepare, readMicrophone, readOutput, tapMicrophone, tapOutput } from '../test/taps.mjs'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '35' }, warm: { type: 'string', default: '8' } } })
const seconds = Number(values.seconds)
const warm = Number(values.warm)

const loadBefore = loadavg()[0]
const edge = await startEdge()
const speaker = await launch({ wav: speechWav(seconds + warm + 20) })
const listener = await launch()
try {
  for (const { page } of [speaker, listener]) await prepare(page)
  await speaker.page.goto(`${edge.url}/room/bench`)
  await speaker.page.click('text=Allow the microphone')
  await listener.page.goto(`${edge.url}/listen/bench`)
  await speaker.page.click('button:has-text("Go live")')
  await listener.page.waitForSelector('[data-state=speaking]')
  await speaker.page.waitForTimeout(warm * 1_000)

  const stats = (page) => page.evaluate(() => window.__airloom.stats())
  const before = await stats(listener.page)
  await tapOutput(listener.page)
  await tapMicrophone(speaker.page)
  await speaker.page.waitForTimeout(seconds * 1_000)
  const said = await readMicrophone(speaker.page)
  const heard = await readOutput(listener.page)
  const after = await stats(listener.page)
  const sent = await stats(speaker.page)

  const windows = delays(said, heard, { windowMs: 500 })
  const ms = windows.map((w) => w.delayMs)
  const alike = windows.map((w) => w.correlation)
  const device = heard.earStartMs === undefined ? undefined : heard.earStartMs - heard.startMs
  const round = (x) => Math.round(x * 10) / 10
  const share = (x) => Math.round(x * 1_000) / 1_000
  const [was] = Object.values(before.playout)
  const [is] = Object.values(after.playout)
  const [got] = Object.values(after.received)
  const [gotBefore] = Object.values(before.received)
  console.log(
    JSON.stringify(
      {
        bench: 'browser-to-browser',
        date: new Date().toISOString(),
        machine: { cpus: cpus().length, model: cpus()[0].model, load_before: loadBefore, load_after: loadavg()[0] },
        seconds,
        browser: speaker.context.browser()?.version() ?? '',
        windows: windows.length,
        delay_ms: {
          /** From the block's leaving the browser's capture to its leaving the listener's output node. */
          capture_to_output: { p50: round(quantile(ms, 0.5)), p95: round(quantile(ms, 0.95)), max: round(Math.max(...ms)) },
          /** With what the browser says lies between that node and the ear. */
          capture_to_ear: device === undefined ? null : { p50: round(quantile(ms, 0.5) + device), p95: round(quantile(ms, 0.95) + device) },
          output_device: device === undefined ? null : round(device),
        },
        correlation: { p50: share(quantile(alike, 0.5)), p05: share(quantile(alike, 0.05)), worst: share(Math.min(...alike)) },
        level: { said: share(rms(said.samples)), heard: share(rms(heard.samples)) },
        glitches: {
          underruns: is.underruns - was.underruns,
          underrun_ms: round(is.underrunMs - was.underrunMs),
          late_frames: is.late - was.late,
          skips: is.skips - was.skips,
          concealed_frames: got.concealed - gotBefore.concealed,
          dropout_ms: windows.reduce((sum, w) => sum + w.dropoutMs, 0),
        },
        frames: got.frames - gotBefore.frames,
        jitter_buffer: { delay_ms: round(is.delayMs), target_ms: round(is.targetMs), while_warming: { underruns: was.underruns, target_ms: round(was.targetMs) } },
        unacked_ms: sent.published[0]?.unackedMs,
        page_errors: [...speaker.problems, ...listener.problems],
      },
      null,
      2,
    ),
  )
} finally {
  await speaker.close()
  await listener.close()
  await edge.stop()
}

// Listening in, outside of what is tested: the microphone's own track on one page, the SDK's output node on another, each
// with the wall clock of its samples. Both pages run on one machine, so the clocks are one.

/** What is read back: samples of one channel and the UTC millisecond of each: `startMs + index / rate`. */
const fromPage = ({ pcm, ...rest }) => ({ ...rest, samples: new Float32Array(Uint8Array.from(Buffer.from(pcm, 'base64')).buffer) })

/** The samples of the open microphone as the browser hands them out, before the SDK touches them. */
export async function tapMicrophone(page) {
  await page.evaluate(() => {
    const [source] = window.__airloom.sources
    const reader = new MediaStreamTrackProcessor({ track: source.track.clone(), maxBufferSize: 1000 }).readable.getReader()
    const tap = (window.__micTap = { blocks: [], rate: 0, frames: 0, startMs: Infinity, on: true })
    const read = async () => {
      while (tap.on) {
        const { value, done } = await reader.read()
        if (done) break
        const now = performance.timeOrigin + performance.now()
        const samples = new Float32Array(value.numberOfFrames)
        value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' })
        tap.rate = value.sampleRate
        tap.blocks.push(samples)
        tap.frames += samples.length
        // A sample exists once its block is handed out; the block that came with the least delay tells the clock best.
        tap.startMs = Math.min(tap.startMs, now - (tap.frames / tap.rate) * 1000)
        value.close()
      }
    }
    void read()
  })
}

/** What the SDK plays: at the output node, and by the browser's own account of when it leaves the device. */
export async function tapOutput(page) {
  await page.evaluate(() => {
    const { output } = window.__airloom
    // The SDK's capture worklet serves as tap: the page's security policy lets no other code into the audio thread.
    const node = new AudioWorkletNode(output.context, 'airloom-capture', { channelCount: 1, channelCountMode: 'explicit' })
    const { port1, port2 } = new MessageChannel()
    const tap = (window.__outTap = { blocks: [], rate: output.context.sampleRate, first: undefined, startMs: Infinity, ear: [] })
    port2.onmessage = ({ data }) => {
      const [samples] = data.channels
      const end = data.frame + 128 // the block ends with the render quantum that began at this frame
      tap.first ??= end - samples.length
      const now = performance.timeOrigin + performance.now()
      tap.blocks.push(samples)
      tap.startMs = Math.min(tap.startMs, now - ((end - tap.first) / tap.rate) * 1000)
    }
    node.port.postMessage({ port: port1 }, [port1])
    output.node.connect(node)
    node.connect(output.context.destination) // puts out silence; a node that leads nowhere is not run
    tap.timer = setInterval(() => {
      const { contextTime, performanceTime } = output.context.getOutputTimestamp()
      if (contextTime > 0) tap.ear.push(performance.timeOrigin + performanceTime - contextTime * 1000)
    }, 100)
  })
}

export async function readMicrophone(page) {
  return fromPage(
    await page.evaluate(async () => {
      const tap = window.__micTap
      tap.on = false
      return { startMs: tap.startMs, rate: tap.rate, pcm: await window.__pcm(tap.blocks) }
    }),
  )
}

export async function readOutput(page) {
  return fromPage(
    await page.evaluate(async () => {
      const tap = window.__outTap
      clearInterval(tap.timer)
      const ear = tap.ear.sort((a, b) => a - b)[tap.ear.length >> 1]
      return {
        startMs: tap.startMs,
        /** When the first sample left the device, as the browser tells. */
        earStartMs: ear === undefined ? undefined : ear + (tap.first / tap.rate) * 1000,
        rate: tap.rate,
        pcm: await window.__pcm(tap.blocks),
      }
    }),
  )
}

/** Call before the page is opened: packs samples for the way out of the page. */
export const prepare = (page) =>
  page.addInitScript(() => {
    window.__pcm = async (blocks) => {
      const url = await new Promise((resolve) => {
        const reader = new FileReader()
        reader.onload = () => resolve(reader.result)
        reader.readAsDataURL(new Blob(blocks))
      })
      return url.slice(url.indexOf(',') + 1)
    }
  })

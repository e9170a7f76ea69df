// The two audio worklets. They only move samples: the arithmetic is in audio/, where it is tested without a browser.

import { JitterBuffer } from './audio/jitter'
import type { PlayerMessage } from './audio/receiver'

declare const currentFrame: number
declare const sampleRate: number
declare class AudioWorkletProcessor {
  readonly port: MessagePort
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void

const STATS_MS = 250
/** The output device stood still for longer than this: the sound that waits is old. */
const STOOD_STILL_MS = 500

class Player extends AudioWorkletProcessor {
  #buffer = new JitterBuffer(sampleRate)
  #statsDue = 0
  /** Date.now() minus the device's clock: jumps when the context was suspended. */
  #ahead: number | undefined
  #stopped = false

  constructor() {
    super()
    this.port.onmessage = ({ data }: MessageEvent<{ port?: MessagePort; stop?: boolean }>) => {
      if (data.stop) this.#stopped = true
      if (data.port) data.port.onmessage = (event: MessageEvent<PlayerMessage>) => this.#told(event.data)
    }
  }

  #told(message: PlayerMessage): void {
    if (message.type === 'block') this.#buffer.push(message, currentFrame)
    else if (message.type === 'silence') this.#buffer.silence(message.end)
    else if (message.type === 'paused') this.#buffer.paused()
    else if (message.type === 'past') this.#buffer.setPast(message.past)
    else this.#buffer.reset()
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const out = outputs[0]!
    if (out.length > 0) {
      this.#noticeStandstill()
      this.#buffer.pull(out, currentFrame)
    }
    if (currentFrame >= this.#statsDue) {
      this.#statsDue = currentFrame + (STATS_MS / 1_000) * sampleRate
      this.port.postMessage(this.#buffer.stats())
    }
    return !this.#stopped
  }

  #noticeStandstill(): void {
    const ahead = Date.now() - (currentFrame / sampleRate) * 1_000
    if (this.#ahead !== undefined && ahead - this.#ahead > STOOD_STILL_MS) this.#buffer.reset()
    this.#ahead = ahead
  }
}

/** Hands the microphone's samples to the worker in blocks of about 10 ms, where MediaStreamTrackProcessor is missing. */
class Capture extends AudioWorkletProcessor {
  #port: MessagePort | undefined
  #blocks: Float32Array[][] = []
  #held = 0

  constructor() {
    super()
    this.port.onmessage = ({ data }: MessageEvent<{ port: MessagePort }>) => (this.#port = data.port)
  }

  process(inputs: Float32Array[][]): boolean {
    const input = inputs[0]!
    if (!this.#port || input.length === 0) return true
    this.#blocks.push(input.map((channel) => channel.slice()))
    this.#held += input[0]!.length
    if (this.#held >= sampleRate / 100) this.#send()
    return true
  }

  #send(): void {
    const channels = this.#blocks[0]!.map((_, c) => {
      const whole = new Float32Array(this.#held)
      let at = 0
      for (const block of this.#blocks) {
        const part = block[c] ?? block[0]!
        whole.set(part, at)
        at += part.length
      }
      return whole
    })
    this.#blocks = []
    this.#held = 0
    this.#port!.postMessage({ channels, rate: sampleRate, frame: currentFrame }, channels.map((c) => c.buffer))
  }
}

registerProcessor('airloom-player', Player)
registerProcessor('airloom-capture', Capture)

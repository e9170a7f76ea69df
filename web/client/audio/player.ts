// The page's end of playout: for each track a worklet with its jitter buffer, for each participant a gain, one output.

import type { PlayoutStats } from './jitter'

export class Player {
  readonly #node: AudioWorkletNode
  #stats: PlayoutStats | undefined

  /** `port` goes to the worker, which posts the track's sound to it. */
  constructor(context: AudioContext, channels: number, into: AudioNode, hand: (port: MessagePort) => void) {
    this.#node = new AudioWorkletNode(context, 'airloom-player', {
      numberOfInputs: 0,
      outputChannelCount: [Math.min(2, Math.max(1, channels))],
    })
    this.#node.port.onmessage = ({ data }: MessageEvent<PlayoutStats>) => (this.#stats = data)
    const { port1, port2 } = new MessageChannel()
    this.#node.port.postMessage({ port: port1 }, [port1])
    this.#node.connect(into)
    hand(port2)
  }

  get stats(): PlayoutStats | undefined {
    return this.#stats
  }

  close(): void {
    this.#node.port.postMessage({ stop: true })
    this.#node.disconnect()
  }
}

/** The output of a page: made once, started by the first gesture where the browser wants one. */
export class Output {
  readonly context: AudioContext
  /** Everything that is heard passes here; connect a recorder or an analyser to it. */
  readonly node: GainNode
  readonly ready: Promise<void>

  constructor(workletUrl: string | URL) {
    this.context = new AudioContext({ sampleRate: 48_000, latencyHint: 'interactive' })
    this.node = this.context.createGain()
    this.node.connect(this.context.destination)
    this.ready = this.context.audioWorklet.addModule(workletUrl)
  }

  get running(): boolean {
    return this.context.state === 'running'
  }

  /** Try to start the sound; call it from a click or key press when `running` is false. */
  async resume(): Promise<boolean> {
    if (this.context.state === 'suspended') await this.context.resume().catch(() => {})
    return this.running
  }

  async close(): Promise<void> {
    if (this.context.state !== 'closed') await this.context.close()
  }
}

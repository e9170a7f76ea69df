// Opus by WebCodecs, one packet for each frame put in. DTX stays off (its dropped packets shift later timestamps, and
// silence is declared on the wire); in-band FEC too: a WebSocket loses nothing that it could mend.

import { AirloomError } from '../errors'
import { SAMPLE_RATE } from '../wire/opus'

export interface EncoderConfig {
  channels: 1 | 2
  /** Bits per second. */
  bitrate: number
  frameMs: number
  application: 'voip' | 'audio'
}

/** Newer than the types that TypeScript ships. */
interface OpusOptions {
  format: 'opus'
  frameDuration: number
  application: string
  complexity: number
  usedtx: boolean
  useinbandfec: boolean
}

const webCodecsConfig = ({ channels, bitrate, frameMs, application }: EncoderConfig): AudioEncoderConfig =>
  ({
    codec: 'opus',
    sampleRate: SAMPLE_RATE,
    numberOfChannels: channels,
    bitrate,
    bitrateMode: 'variable',
    opus: {
      format: 'opus',
      frameDuration: frameMs * 1_000,
      application,
      complexity: 9,
      usedtx: false,
      useinbandfec: false,
    } satisfies OpusOptions,
  }) as AudioEncoderConfig

export class FrameEncoder {
  #encoder: AudioEncoder
  #sample = 0

  /** `packet` is called once per frame, in order; `failed` when the encoder gave up and is of no more use. */
  constructor(
    readonly config: EncoderConfig,
    packet: (bytes: Uint8Array) => void,
    failed: (error: AirloomError) => void,
  ) {
    this.#encoder = new AudioEncoder({
      output: (chunk) => {
        const bytes = new Uint8Array(chunk.byteLength)
        chunk.copyTo(bytes)
        packet(bytes)
      },
      error: (error) => failed(new AirloomError('codec', `encode a frame: ${error.message}`)),
    })
    this.#encoder.configure(webCodecsConfig(config))
  }

  /** One frame: `frameMs` of samples for each channel. */
  encode(channels: Float32Array[]): void {
    const length = channels[0]!.length
    const planes = new Float32Array(length * channels.length)
    channels.forEach((channel, c) => planes.set(channel, c * length))
    const data = new AudioData({
      format: 'f32-planar',
      sampleRate: SAMPLE_RATE,
      numberOfFrames: length,
      numberOfChannels: channels.length,
      timestamp: Math.round((this.#sample / SAMPLE_RATE) * 1e6),
      data: planes,
    })
    this.#sample += length
    this.#encoder.encode(data)
    data.close()
  }

  async flush(): Promise<void> {
    if (this.#encoder.state === 'configured') await this.#encoder.flush()
  }

  close(): void {
    if (this.#encoder.state !== 'closed') this.#encoder.close()
  }
}

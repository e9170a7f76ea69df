// How loud a frame is, and whether somebody speaks in it: energy against a noise floor that follows the quietest recent
// frames, with a hangover so that the pauses inside a sentence do not flicker.

export const SILENT_DB = -100

export interface Level {
  /** dBFS of the frame's mean power; a full-scale sine has −3. */
  rms: number
  /** dBFS of its largest sample. */
  peak: number
  voice: boolean
}

const db = (amplitude: number): number => (amplitude > 1e-5 ? 20 * Math.log10(amplitude) : SILENT_DB)

export function measure(channels: Float32Array[]): { rms: number; peak: number } {
  let power = 0
  let peak = 0
  let count = 0
  for (const channel of channels) {
    for (const sample of channel) {
      power += sample * sample
      const size = Math.abs(sample)
      if (size > peak) peak = size
    }
    count += channel.length
  }
  return { rms: db(Math.sqrt(power / Math.max(1, count))), peak: db(peak) }
}

/** Above the floor by this much is speech. */
const MARGIN_DB = 9
/** Nothing below this is speech, however quiet the room. */
const LOWEST_SPEECH_DB = -52
const LOWEST_FLOOR_DB = -75
const FLOOR_RISE_DB_PER_S = 4
/** Speech has to last this long to count: a click does not. */
const ATTACK_MS = 40
const HANGOVER_MS = 300

export class VoiceDetector {
  #floor = -60
  #loudMs = 0
  #hangoverMs = 0

  constructor(readonly frameMs: number) {}

  /** Whether somebody speaks, given the frame's level in dBFS. */
  hear(rms: number): boolean {
    const loud = rms > Math.max(LOWEST_SPEECH_DB, this.#floor + MARGIN_DB)
    this.#floor = Math.max(LOWEST_FLOOR_DB, Math.min(rms, this.#floor + (FLOOR_RISE_DB_PER_S * this.frameMs) / 1_000))
    this.#loudMs = loud ? this.#loudMs + this.frameMs : 0
    if (this.#loudMs >= ATTACK_MS) this.#hangoverMs = HANGOVER_MS
    else this.#hangoverMs = Math.max(0, this.#hangoverMs - this.frameMs)
    return this.#hangoverMs > 0
  }
}

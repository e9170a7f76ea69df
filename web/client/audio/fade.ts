// Beginnings and ends without a click.

/** Samples: 2 ms. */
export const FADE = 96

/** In place: the first samples come up from nothing, or the last ones go down to it. */
export function fade(channels: Float32Array[], fadeIn: boolean): void {
  for (const channel of channels) {
    const count = Math.min(FADE, channel.length)
    for (let i = 0; i < count; i++) channel[fadeIn ? i : channel.length - 1 - i]! *= i / count
  }
}

/** The largest sample. */
export function peakOf(channels: Float32Array[]): number {
  let peak = 0
  for (const channel of channels) for (const sample of channel) if (Math.abs(sample) > peak) peak = Math.abs(sample)
  return peak
}

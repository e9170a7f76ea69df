// Comparing what was said with what was heard.

/** To about 8 kHz for speech: a moving average as low pass, twice, then every n-th sample. */
export function coarse({ samples, rate }, to = 8_000) {
  const n = Math.max(1, Math.round(rate / to))
  const smooth = (x) => {
    const y = new Float32Array(x.length)
    let sum = 0
    for (let i = 0; i < x.length; i++) {
      sum += x[i] - (i >= n ? x[i - n] : 0)
      y[i] = sum / n
    }
    return y
  }
  const twice = smooth(smooth(samples))
  const out = new Float32Array(Math.floor(samples.length / n))
  for (let i = 0; i < out.length; i++) out[i] = twice[i * n]
  return { samples: out, rate: rate / n }
}

export const rms = (x, from = 0, to = x.length) => {
  let sum = 0
  for (let i = Math.max(0, from); i < Math.min(to, x.length); i++) sum += x[i] * x[i]
  return Math.sqrt(sum / Math.max(1, to - from))
}

/**
 * Where `what` (one window) is found in `where`, at lags [from, to): the lag of the best normalised correlation.
 */
export function find(what, where, from, to) {
  const energy = what.reduce((sum, x) => sum + x * x, 0)
  let best = { lag: from, correlation: -1 }
  const first = Math.max(0, from)
  let other = 0 // of the stretch of `where` that lies below `what`: it moves along
  for (let i = first; i < first + what.length - 1; i++) other += (where[i] ?? 0) ** 2
  for (let lag = first; lag < to && lag + what.length <= where.length; lag++) {
    other += where[lag + what.length - 1] ** 2
    let dot = 0
    for (let i = 0; i < what.length; i++) dot += what[i] * where[lag + i]
    const correlation = dot / Math.sqrt(energy * other + 1e-12)
    if (correlation > best.correlation) best = { lag, correlation }
    other = Math.max(0, other - where[lag] ** 2)
  }
  return best
}

/** Reads a recording at the rate and from the moment of another, by straight lines: for coarse signals that is enough. */
function onClockOf(sound, { startMs, rate }, length) {
  const out = new Float32Array(length)
  const offset = ((startMs - sound.startMs) / 1_000) * sound.rate
  for (let i = 0; i < length; i++) {
    const at = offset + (i / rate) * sound.rate
    const k = Math.floor(at)
    if (k >= 0 && k + 1 < sound.samples.length) out[i] = sound.samples[k] + (at - k) * (sound.samples[k + 1] - sound.samples[k])
  }
  return out
}

/**
 * Delays in ms of what was said until it was heard, window by window, with how alike the two are. Windows without speech
 * are left out.
 */
export function delays(said, heard, { windowMs = 1_000, maxMs = 1_000, quiet = 0.01 } = {}) {
  const a = { ...coarse(said), startMs: said.startMs }
  const b = { ...coarse(heard), startMs: heard.startMs }
  const first = Math.max(a.startMs, b.startMs)
  const last = Math.min(a.startMs + (a.samples.length / a.rate) * 1_000, b.startMs + (b.samples.length / b.rate) * 1_000)
  const grid = { startMs: first, rate: 8_000 }
  const length = Math.floor(((last - first) / 1_000) * grid.rate)
  const x = onClockOf(a, grid, length)
  const y = onClockOf(b, grid, length)
  const window = (windowMs / 1_000) * grid.rate
  const reach = (maxMs / 1_000) * grid.rate
  const found = []
  for (let at = 0; at + window + reach <= length; at += window) {
    const piece = x.subarray(at, at + window)
    if (rms(piece) < quiet) continue
    const { lag, correlation } = find(piece, y, at, at + reach)
    found.push({ atMs: (at / grid.rate) * 1_000, delayMs: ((lag - at) / grid.rate) * 1_000, correlation, dropoutMs: dropout(piece, y.subarray(lag, lag + window), grid.rate) })
  }
  return found
}

/** Milliseconds (in steps of 5) without sound in `heard` where there was some in `said`. */
function dropout(said, heard, rate) {
  const step = rate / 200
  let ms = 0
  for (let at = 0; at + step <= said.length; at += step) {
    if (rms(said, at, at + step) > 0.02 && rms(heard, at, at + step) < 0.0005) ms += 5
  }
  return ms
}

export const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
}

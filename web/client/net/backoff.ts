// How long to wait before coming back: at once with up to 250 ms of jitter, then full jitter between 0.25 s and a bound
// that doubles up to 10 s. Full jitter, so that a restarted edge is not met by all its participants at the same moment.

export const FIRST_MS = 250
export const CEILING_MS = 10_000

/** Milliseconds before attempt 0, 1, 2…; `random` is uniform in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  if (attempt === 0) return random * FIRST_MS
  const bound = Math.min(CEILING_MS, FIRST_MS * 2 ** attempt)
  return FIRST_MS + random * (bound - FIRST_MS)
}

// What a participant reads of its own token: when it ends. The edge alone judges whether it is good.

/** Seconds since 1970 at which a token ends, 0 (long ago) when it does not say so. */
export function expiryOf(token: string): number {
  try {
    const payload = token.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/')
    const { exp } = JSON.parse(atob(payload)) as { exp?: unknown }
    return typeof exp === 'number' ? exp : 0
  } catch {
    return 0
  }
}

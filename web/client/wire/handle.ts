// A track's id is its 32-bit handle in base32 (RFC 4648, lower case, no padding): 7 characters.

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

export function trackId(handle: number): string {
  let bits = BigInt(handle >>> 0) << 3n // 35 bits make 7 characters; the last carries 3 zero bits
  let id = ''
  for (let i = 0; i < 7; i++) {
    id = ALPHABET[Number(bits & 31n)]! + id
    bits >>= 5n
  }
  return id
}

/** The handle an id stands for, or undefined when it is no track id. */
export function handleOf(id: string): number | undefined {
  if (id.length !== 7) return undefined
  let bits = 0n
  for (const character of id) {
    const value = ALPHABET.indexOf(character)
    if (value < 0) return undefined
    bits = (bits << 5n) | BigInt(value)
  }
  if ((bits & 7n) !== 0n || bits === 0n) return undefined
  return Number(bits >> 3n)
}

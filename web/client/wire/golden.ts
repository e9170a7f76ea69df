// The golden vectors, for tests: their format is told at the head of the file itself.
import { readFileSync } from 'node:fs'

export type Hex = string | string[]

export const golden = JSON.parse(readFileSync(new URL('../../../internal/frame/testdata/vectors.json', import.meta.url), 'utf8'))

export function bytesOf(hex: Hex): Uint8Array {
  const tokens = [hex].flat().flatMap((line) => line.split('|')[0]!.split(/\s+/).filter(Boolean))
  const digits = tokens.map((token) => {
    const [what, times] = token.split('*')
    return what!.repeat(Number(times ?? 1))
  })
  return Uint8Array.from(Buffer.from(digits.join(''), 'hex'))
}

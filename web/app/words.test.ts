import { expect, test } from 'vitest'
import { unkeptWords } from './src/words'

test.each([
  [40, false, 'Not kept: 1 s of what you said'],
  [12_340, false, 'Not kept: 13 s of what you said'],
  [4_000, true, 'Up to 4 s of what you said may not be kept'],
  [118_000, true, 'Up to 2 minutes of what you said may not be kept'],
])('%i ms not kept, at most: %s', (missingMs, atMost, words) => {
  expect(unkeptWords(missingMs, atMost)).toContain(words)
})

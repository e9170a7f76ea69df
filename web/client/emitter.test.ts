import { expect, test } from 'vitest'
import { Emitter } from './emitter'

class Counter extends Emitter<{ count: number }> {
  count(n: number): void {
    this.emit('count', n)
  }
}

test('a loop over events gets each in order, waits for the next, and ends by break', async () => {
  const counter = new Counter()
  const got: number[] = []
  const loop = (async () => {
    for await (const n of counter.each('count')) if (got.push(n) === 3) break
  })()
  await Promise.resolve() // the loop listens from its first turn on
  counter.count(1)
  counter.count(2)
  await new Promise((resolve) => setTimeout(resolve))
  expect(got).toEqual([1, 2])
  counter.count(3)
  await loop
  counter.count(4)
  expect(got).toEqual([1, 2, 3])
})

test('who is slow finds the newest, and memory stays bounded', async () => {
  const counter = new Counter()
  const events = counter.each('count')
  const first = events.next()
  for (let n = 0; n < 1_000; n++) counter.count(n)
  await first
  const { value } = await events.next()
  expect(value).toBeGreaterThan(900)
  await events.return(undefined as never)
})

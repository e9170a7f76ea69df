import { defineConfig } from 'vitest/config'

// Journeys through the built pages in real browsers against a real edge, one after the other: each has processes of its own.
export default defineConfig({
  test: {
    include: ['test/**/*.browser.test.ts'],
    environment: 'node',
    testTimeout: 90_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    retry: 0,
  },
})

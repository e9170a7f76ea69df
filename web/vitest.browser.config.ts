import { defineConfig } from 'vitest/config'

// Journeys through the built pages in real browsers against a real edge, one after the other: each has processes of its own.
export default defineConfig({
  test: {
    include: ['test/**/*.browser.test.ts'],
    environment: 'node',
    testTimeout: 90_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    // Real browsers in real time on a machine that others use: one stall is the machine's, two are ours. A retry is reported.
    retry: 1,
  },
})

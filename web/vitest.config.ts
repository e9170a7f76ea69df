import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: { include: ['client/**/*.test.ts', 'app/**/*.test.ts', 'test/find-*.test.ts'], environment: 'node' },
})

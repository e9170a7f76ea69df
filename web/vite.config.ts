import { defineConfig } from 'vite'

// The pages. build.mjs builds the worker and the worklet first and hands their addresses in; under `npm run dev` they are
// served from their sources.
export default defineConfig({
  root: 'app',
  base: '/',
  define: {
    __WORKER_URL__: JSON.stringify('/@fs' + new URL('./client/worker/worker.ts', import.meta.url).pathname),
    __WORKLET_URL__: JSON.stringify('/@fs' + new URL('./client/worklet.ts', import.meta.url).pathname),
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { outDir: 'dist', emptyOutDir: false, target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  server: {
    fs: { allow: ['..'] },
    proxy: { '/v1': { target: process.env.AIRLOOM_URL ?? 'http://127.0.0.1:8080', ws: true } },
  },
})

import { defineConfig } from 'vite'

const edge = process.env.AIRLOOM_URL ?? 'http://127.0.0.1:8080'
const source = (path: string) => JSON.stringify(`/@fs${new URL(path, import.meta.url).pathname}`)

// The pages. build.mjs builds the worker and the worklet first and hands their addresses in; under `npm run dev` they are
// served from their sources, and an edge that runs on this machine answers /v1.
export default defineConfig({
  root: 'app',
  base: '/',
  define: { __WORKER_URL__: source('./client/worker/worker.ts'), __WORKLET_URL__: source('./client/worklet.ts') },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { outDir: 'dist', emptyOutDir: false, target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  server: {
    fs: { allow: ['..'] },
    // The edge serves only pages of its own origin: this server passes for it.
    proxy: { '/v1': { target: edge, ws: true, changeOrigin: true, headers: { origin: edge } } },
  },
})

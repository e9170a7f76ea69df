// Builds the SDK into client/dist: airloom.js, worker.js and worklet.js, each a whole file of its own (no blob workers, no
// shared pieces that a worklet could not load). Then the pages into app/dist, with the same worker and worklet, which they
// name with a hash so that a page never meets a worker of another version.
import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const sdk = here('client/dist')
const pages = here('app/dist')

for (const entry of readdirSync(pages)) if (entry !== '.keep') rmSync(`${pages}/${entry}`, { recursive: true })
rmSync(sdk, { recursive: true, force: true })

async function alone(name, entry) {
  const lib = { entry: here(entry), formats: ['es'], fileName: () => name }
  await build({
    configFile: false,
    logLevel: 'warn',
    root: here('client'),
    publicDir: false,
    build: { outDir: sdk, emptyOutDir: false, target: 'es2022', lib, minify: true },
  })
}

function served(name) {
  copyFileSync(`${sdk}/${name}`, `${pages}/${name}`)
  const hash = createHash('sha256').update(readFileSync(`${sdk}/${name}`)).digest('hex').slice(0, 10)
  return JSON.stringify(`/${name}?v=${hash}`)
}

await alone('airloom.js', 'client/index.ts')
await alone('worker.js', 'client/worker/worker.ts')
await alone('worklet.js', 'client/worklet.ts')
const define = { __WORKER_URL__: served('worker.js'), __WORKLET_URL__: served('worklet.js') }
await build({ configFile: here('vite.config.ts'), define })

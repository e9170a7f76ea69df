// Builds app/dist: worker.js and worklet.js as whole files of their own (no blob workers, no shared pieces that a worklet
// could not load), then the pages, which name them with a hash so that a page never meets a worker of another version.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const dist = here('app/dist')

for (const entry of readdirSync(dist)) if (entry !== '.keep') rmSync(`${dist}/${entry}`, { recursive: true })

const alone = async (name, entry) => {
  await build({
    configFile: false,
    logLevel: 'warn',
    root: here('client'),
    publicDir: false,
    build: {
      outDir: dist,
      emptyOutDir: false,
      target: 'es2022',
      lib: { entry: here(entry), formats: ['es'], fileName: () => name },
      minify: true,
    },
  })
  const hash = createHash('sha256').update(readFileSync(`${dist}/${name}`)).digest('hex').slice(0, 10)
  return JSON.stringify(`/${name}?v=${hash}`)
}

const __WORKER_URL__ = await alone('worker.js', 'client/worker/worker.ts')
const __WORKLET_URL__ = await alone('worklet.js', 'client/worklet.ts')
await build({ configFile: here('vite.config.ts'), define: { __WORKER_URL__, __WORKLET_URL__ } })

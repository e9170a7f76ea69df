import type { BrowserContext, Page } from 'playwright-core'

export interface Edge {
  url: string
  own: boolean
  log: string
  /** The owner's invite, of an open edge. */
  invite: string
  start(): Promise<void>
  stop(signal?: NodeJS.Signals): Promise<void>
  run(...args: string[]): string
}
export interface Browser {
  context: BrowserContext
  page: Page
  problems: string[]
  close(): Promise<void>
}
export const scratch: string
export function freePort(): Promise<number>
export function startEdge(options?: { open?: boolean }): Promise<Edge>
export function speechWav(seconds: number, voice?: number): string
export function turnsWav(on: number, off: number): string
export function launch(options?: {
  wav?: string
  flags?: string[]
  refuseMicrophone?: boolean
  /** False: sound waits for a click, as in a browser at home. */
  autoplay?: boolean
  viewport?: { width: number; height: number }
  colorScheme?: 'light' | 'dark'
}): Promise<Browser>

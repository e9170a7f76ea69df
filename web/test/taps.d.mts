import type { Page } from 'playwright-core'

export interface Sound {
  samples: Float32Array
  rate: number
  startMs: number
  earStartMs?: number
}
export function prepare(page: Page): Promise<void>
export function tapMicrophone(page: Page): Promise<void>
export function tapOutput(page: Page): Promise<void>
export function readMicrophone(page: Page): Promise<Sound>
export function readOutput(page: Page): Promise<Sound>

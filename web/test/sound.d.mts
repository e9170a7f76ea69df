import type { Sound } from './taps.mjs'

export interface Found {
  atMs: number
  delayMs: number
  correlation: number
  dropoutMs: number
}
export function coarse(sound: { samples: Float32Array; rate: number }, to?: number): { samples: Float32Array; rate: number }
export function find(what: Float32Array, where: Float32Array, from: number, to: number): { lag: number; correlation: number }
export function delays(said: Sound, heard: Sound, options?: { windowMs?: number; maxMs?: number; quiet?: number }): Found[]
export function rms(samples: Float32Array, from?: number, to?: number): number
export function quantile(values: number[], q: number): number

// The page's side of the worker: calls with answers, and everything else as it comes.

import { AirloomError } from '../errors'
import type { FromWorker, ToWorker } from './protocol'

type Call = Extract<ToWorker, { call: number }>
type WithoutCall<T> = T extends unknown ? Omit<T, 'call'> : never

export class WorkerPort {
  #worker: Worker
  #calls = new Map<number, { resolve(value: any): void; reject(error: AirloomError): void }>()
  #next = 0

  constructor(url: string | URL, heard: (message: FromWorker) => void, broke: (error: AirloomError) => void) {
    this.#worker = new Worker(url, { type: 'module', name: 'airloom' })
    this.#worker.onerror = (event) => {
      event.preventDefault()
      broke(new AirloomError('unsupported', `the worker failed: ${event.message ?? 'it did not load'}`, ['worker.js']))
    }
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.type !== 'done' && data.type !== 'failed') return heard(data)
      const call = this.#calls.get(data.call)
      this.#calls.delete(data.call)
      if (data.type === 'done') call?.resolve(data.value)
      else call?.reject(new AirloomError(data.error.code, data.error.message))
    }
  }

  tell(message: ToWorker, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  ask<T = void>(message: WithoutCall<Exclude<Call, { type: 'token' }>>): Promise<T> {
    const call = ++this.#next
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject })
      this.tell({ ...message, call } as ToWorker)
    })
  }

  close(): void {
    this.#worker.terminate()
    for (const { reject } of this.#calls.values()) reject(new AirloomError('closed', 'the worker is closed'))
    this.#calls.clear()
  }
}

// The page's one Airloom. It is made when it is first needed and reached by tests and measurements as window.__airloom.

import { Airloom } from '../../client'

let airloom: Airloom | undefined

/** `window.__airloom`: the SDK of this page, for its `stats()`, `output` and `room`. For debugging only. */
declare global {
  interface Window {
    __airloom?: Airloom
  }
}

export function device(): Airloom {
  if (!airloom) {
    airloom = new Airloom({ assets: { worker: __WORKER_URL__, worklet: __WORKLET_URL__ } })
    window.__airloom = airloom
  }
  return airloom
}

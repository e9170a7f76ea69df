/** Where the built worker and worklet are served, with a hash of their content. */
declare const __WORKER_URL__: string
declare const __WORKLET_URL__: string

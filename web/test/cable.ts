// The network between a browser and an edge, with the possibility to break it.

import { type Server, type Socket, connect, createServer } from 'node:net'

/** A cable that can be cut: TCP through here to the edge. */
export async function cable(to: string): Promise<{ url: string; cut(): void; mend(): Promise<void>; close(): void }> {
  const port = Number(new URL(to).port)
  const open = new Set<Socket>()
  const make = (): Server =>
    createServer((near) => {
      const far = connect(port, '127.0.0.1')
      for (const socket of [near, far]) {
        open.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => (near.destroy(), far.destroy(), open.delete(socket)))
      }
      near.pipe(far).pipe(near)
    })
  let server = make()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const at = (server.address() as { port: number }).port
  const cut = () => {
    server.close()
    for (const socket of open) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${at}`,
    cut,
    mend: () => {
      server = make()
      return new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve))
    },
    close: cut,
  }
}

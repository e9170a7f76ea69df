// Test doubles of WebCodecs: an encoder that makes a recognisable frame of each one put in.

export class FakeEncoder {
  state = 'unconfigured'
  constructor(private readonly init: { output(chunk: unknown): void }) {}
  configure() {
    this.state = 'configured'
  }
  encode(data: { mark: number }) {
    const bytes = Uint8Array.of(0xf8, data.mark & 0xff)
    queueMicrotask(() => this.init.output({ byteLength: 2, copyTo: (into: Uint8Array) => into.set(bytes) }))
  }
  async flush() {}
  close() {
    this.state = 'closed'
  }
}

export class FakeData {
  mark: number
  constructor(init: { data: Float32Array }) {
    this.mark = init.data[0]!
  }
  close() {}
}

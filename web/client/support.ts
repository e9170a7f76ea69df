// What this browser lacks for speaking or listening, asked before anything is opened.

/** Names of the missing features; empty when all is there. */
export async function missingFeatures(): Promise<{ listen: string[]; speak: string[] }> {
  const listen: string[] = []
  const speak: string[] = []
  if (!globalThis.isSecureContext) listen.push('secure page (https or localhost)')
  if (!globalThis.Worker) listen.push('Worker')
  if (!globalThis.AudioWorkletNode) listen.push('AudioWorklet')
  const opus = { codec: 'opus', sampleRate: 48_000, numberOfChannels: 1 }
  if (!(await supports(() => AudioDecoder.isConfigSupported(opus)))) listen.push('AudioDecoder (Opus)')
  if (!(await supports(() => AudioEncoder.isConfigSupported({ ...opus, bitrate: 32_000 })))) speak.push('AudioEncoder (Opus)')
  if (!navigator.mediaDevices?.getUserMedia) speak.push('getUserMedia')
  return { listen, speak: [...listen, ...speak] }
}

async function supports(ask: () => Promise<{ supported?: boolean }>): Promise<boolean> {
  try {
    return (await ask()).supported === true
  } catch {
    return false
  }
}

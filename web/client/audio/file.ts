// A picked file as samples at 48 kHz, decoded by the browser.

import { AirloomError } from '../errors'
import { SAMPLE_RATE } from '../wire/opus'

/** One or two channels; more are cut to two. */
export async function decodeFile(file: Blob): Promise<Float32Array[]> {
  const context = new OfflineAudioContext(2, 1, SAMPLE_RATE) // it converts to its own rate
  try {
    const buffer = await context.decodeAudioData(await file.arrayBuffer())
    return Array.from({ length: Math.min(2, buffer.numberOfChannels) }, (_, c) => buffer.getChannelData(c).slice())
  } catch (error) {
    throw new AirloomError('file_unreadable', `decode the file: ${(error as Error).message}`)
  }
}

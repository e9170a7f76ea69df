// Opening a microphone on the page, with the reasons it fails told apart, and handing its samples to the worker.

import { AirloomError } from '../errors'
import type { SourceInput } from '../worker/protocol'

/** `voice`: one channel, echo, noise and gain processed. `music`: two channels as they are; processing destroys music. */
export type Profile = 'voice' | 'music'

export interface MicrophoneConfig {
  /** From listMicrophones; the browser's choice when empty. */
  deviceId?: string
  profile?: Profile
}

export interface Microphone {
  deviceId: string
  label: string
}

/** Blocks of 10 ms that may wait for a busy worker; what comes after is lost, and declared as silence. */
const CAPTURE_BLOCKS = 50

/** Labels are empty until the person has allowed a microphone once. */
export async function listMicrophones(): Promise<Microphone[]> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? []
  return devices.filter((d) => d.kind === 'audioinput').map(({ deviceId, label }) => ({ deviceId, label }))
}

export async function openMicrophone({ deviceId, profile = 'voice' }: MicrophoneConfig): Promise<MediaStreamTrack> {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new AirloomError('unsupported', 'no microphone access outside a secure page (https or localhost)', ['getUserMedia'])
  }
  const processing = profile === 'voice'
  const audio: MediaTrackConstraints = {
    echoCancellation: processing,
    noiseSuppression: processing,
    autoGainControl: processing,
    channelCount: { ideal: processing ? 1 : 2 },
  }
  if (deviceId) audio.deviceId = { exact: deviceId }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio })
    return stream.getAudioTracks()[0]!
  } catch (error) {
    throw microphoneError(error)
  }
}

function microphoneError(error: unknown): AirloomError {
  const { name, message } = error as DOMException
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return new AirloomError('microphone_refused', message)
    case 'NotFoundError':
    case 'OverconstrainedError':
      return new AirloomError('microphone_missing', message)
    default:
      return new AirloomError('microphone_busy', message)
  }
}

/**
 * The track's samples for the worker: its own readable where the browser has MediaStreamTrackProcessor (25–100 ms
 * less delay), else a capture worklet in the context.
 */
export async function captureInput(track: MediaStreamTrack, context: () => Promise<AudioContext>): Promise<{ input: SourceInput; release(): void }> {
  const Processor = globalThis.MediaStreamTrackProcessor
  if (Processor) {
    const { readable } = new Processor({ track: track as MediaStreamAudioTrack, maxBufferSize: CAPTURE_BLOCKS })
    return { input: { kind: 'stream', readable: readable as ReadableStream<AudioData> }, release: () => {} }
  }
  const audio = await context()
  const { port1, port2 } = new MessageChannel()
  const from = audio.createMediaStreamSource(new MediaStream([track]))
  const node = new AudioWorkletNode(audio, 'airloom-capture', { numberOfOutputs: 1 })
  node.port.postMessage({ port: port1 }, [port1])
  from.connect(node).connect(audio.destination) // a node that leads nowhere is not run; this one puts out silence
  return { input: { kind: 'port', port: port2 }, release: () => (from.disconnect(), node.disconnect()) }
}

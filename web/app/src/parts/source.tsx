// Picking what to speak with: a microphone or a file, and seeing its level before anybody hears it.

import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { type Microphone, listMicrophones } from '../../../client'
import type { Stay } from '../stay'
import { FileIcon, MicIcon } from './icons'
import { Meter } from './meter'

export function SourcePicker({ stay }: { stay: Stay }) {
  const source = stay.source.value
  const picked = useSignal<'microphone' | 'file'>('microphone')
  return (
    <fieldset class="source">
      <legend>Speak with</legend>
      <div class="choice">
        {(['microphone', 'file'] as const).map((kind) => (
          <label key={kind}>
            <input
              type="radio"
              name="source"
              checked={picked.value === kind}
              onChange={() => {
                picked.value = kind
                stay.closeSource()
              }}
            />
            {kind === 'microphone' ? <MicIcon /> : <FileIcon />}
            {kind === 'microphone' ? 'Microphone' : 'Sound file'}
          </label>
        ))}
      </div>
      {picked.value === 'microphone' ? <MicrophonePicker stay={stay} /> : <FilePicker stay={stay} />}
      {source && (
        <div class="level">
          <Meter source={source} />
          <p class="hint">{source.kind === 'microphone' ? 'Say something: the bar should move. Nobody hears it yet.' : 'The file is running. Nobody hears it yet.'}</p>
        </div>
      )}
    </fieldset>
  )
}

function MicrophonePicker({ stay }: { stay: Stay }) {
  const devices = useSignal<Microphone[]>([])
  const deviceId = useSignal('')
  const music = useSignal(false)
  const open = stay.source.value?.kind === 'microphone'
  const start = () => void stay.openMicrophone({ deviceId: deviceId.value, profile: music.value ? 'music' : 'voice' })
  useEffect(() => {
    const refresh = async () => {
      devices.value = (await listMicrophones()).filter((device) => device.label)
      deviceId.value ||= stay.source.value?.track?.getSettings().deviceId ?? ''
    }
    void refresh()
    navigator.mediaDevices?.addEventListener('devicechange', refresh)
    return () => navigator.mediaDevices?.removeEventListener('devicechange', refresh)
  }, [open])
  return (
    <div class="fields">
      <label class="field">
        <span>Device</span>
        {/* Here before the list is: a field that comes later would push the buttons away from under a finger. */}
        <select
          value={deviceId.value}
          disabled={devices.value.length === 0}
          onChange={(event) => {
            deviceId.value = event.currentTarget.value
            if (open) start()
          }}
        >
          <option value="">The browser’s choice</option>
          {devices.value.map((device) => (
            <option key={device.deviceId} value={device.deviceId}>
              {device.label}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={music.value}
          onChange={(event) => {
            music.value = event.currentTarget.checked
            if (open) start()
          }}
        />
        <span>
          Music: stereo, sent as it is <small>(use headphones: echo is not removed)</small>
        </span>
      </label>
      {!open && (
        <button type="button" onClick={start}>
          <MicIcon /> Allow the microphone
        </button>
      )}
    </div>
  )
}

function FilePicker({ stay }: { stay: Stay }) {
  const loop = useSignal(true)
  const input = useRef<HTMLInputElement>(null)
  const start = () => {
    const file = input.current?.files?.[0]
    if (file) void stay.openFile(file, loop.value)
  }
  return (
    <div class="fields">
      <label class="field">
        <span>File</span>
        <input type="file" accept="audio/*,video/mp4,video/webm" ref={input} onChange={start} />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={loop.value}
          onChange={(event) => {
            loop.value = event.currentTarget.checked
            start()
          }}
        />
        <span>Begin again at its end</span>
      </label>
    </div>
  )
}

import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { RecordedTrack, Recording } from '../../../client'
import { rest } from '../access'
import { PauseIcon, PlayIcon, SaveIcon } from '../parts/icons'
import { ErrorNotice } from '../parts/notices'

const REFRESH_MS = 5_000

export function RecordingsPage() {
  const recordings = useSignal<Recording[] | undefined>(undefined)
  const error = useSignal<unknown>(undefined)
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>
    const refresh = async () => {
      try {
        const list = await rest.recordings()
        recordings.value = list.sort((a, b) => b.started.localeCompare(a.started))
        error.value = undefined
      } catch (problem) {
        error.value = problem
      }
      timer = setTimeout(refresh, REFRESH_MS)
    }
    void refresh()
    return () => clearTimeout(timer)
  }, [])
  return (
    <>
      <h1>Recordings</h1>
      {error.value !== undefined && <ErrorNotice error={error.value} />}
      {recordings.value?.length === 0 && <p class="empty">Nothing has been recorded yet. A room with “Recorded” beside its name records whoever goes live.</p>}
      <ul class="recordings">
        {recordings.value?.map((recording) => (
          <RecordingCard key={recording.recording} recording={recording} />
        ))}
      </ul>
    </>
  )
}

function RecordingCard({ recording }: { recording: Recording }) {
  const open = recording.state === 'open'
  return (
    <li class="recording-card" data-recording={recording.recording} data-state={recording.state}>
      <div class="room-head">
        <h2>{recording.room}</h2>
        {open && (
          <span class="badge keep-record recording">
            <span class="rec" /> Recording
          </span>
        )}
      </div>
      <p class="room-facts">
        <time dateTime={recording.started}>{when(recording.started)}</time> · {clock(recording.seconds)}
      </p>
      <ul class="tracks">
        {(recording.tracks ?? []).map((track) => (
          <Track key={`${track.track}-${track.file}`} recording={recording} track={track} />
        ))}
      </ul>
    </li>
  )
}

function Track({ recording, track }: { recording: Recording; track: RecordedTrack }) {
  const url = useSignal<string | undefined>(undefined)
  const playing = useSignal(false)
  const at = useSignal(0)
  const error = useSignal<unknown>(undefined)
  const audio = useRef<HTMLAudioElement>(null)
  useEffect(() => () => url.value && URL.revokeObjectURL(url.value), [])
  const who = track.label || track.identity

  /** The file needs the invite shown, so it is fetched here and handed to the player as a blob. */
  const fetched = async (): Promise<string | undefined> => {
    if (url.value) return url.value
    try {
      url.value = URL.createObjectURL(await rest.recordingFile(recording.recording, track.file))
      error.value = undefined
    } catch (problem) {
      error.value = problem
    }
    return url.value
  }
  const toggle = async () => {
    const element = audio.current!
    if (playing.value) return element.pause()
    const source = await fetched()
    if (!source) return
    if (!element.src) element.src = source
    await element.play().catch((problem) => (error.value = problem))
  }
  const save = async () => {
    const source = await fetched()
    if (!source) return
    const link = document.createElement('a')
    link.href = source
    link.download = `${recording.room}-${who}-${track.file.split('/').at(-1)}`
    link.click()
  }
  const seconds = Math.max(track.seconds, 0.01)
  return (
    <li class="track" data-track={track.track}>
      <button type="button" class="round" disabled={!track.file} onClick={() => void toggle()} aria-label={`${playing.value ? 'Pause' : 'Play'} ${who}`}>
        {playing.value ? <PauseIcon /> : <PlayIcon />}
      </button>
      <div class="track-main">
        <p class="track-name">
          <span class="name">{who}</span>
          <span class="track-label">{track.name}</span>
        </p>
        <input
          type="range"
          class="seek"
          min="0"
          max={seconds}
          step="0.1"
          value={at.value}
          disabled={!url.value}
          style={{ '--share': `${(at.value / seconds) * 100}%` }}
          aria-label={`Position in ${who}`}
          aria-valuetext={clock(at.value)}
          onInput={(event) => audio.current && (audio.current.currentTime = Number(event.currentTarget.value))}
        />
        <p class="track-facts">
          {url.value ? `${clock(at.value)} of ` : ''}
          {clock(track.seconds)}
          {track.bytes > 0 && ` · ${size(track.bytes)}`}
          {track.missing > 0 ? ` · ${track.missing} of ${track.frames + track.missing} frames missing` : ' · complete'}
        </p>
        {error.value !== undefined && <ErrorNotice error={error.value} />}
      </div>
      <button type="button" class="round" disabled={!track.file} onClick={() => void save()} aria-label={`Download ${who}`}>
        <SaveIcon />
      </button>
      <audio
        ref={audio}
        preload="auto"
        onPlay={() => (playing.value = true)}
        onPause={() => (playing.value = false)}
        onEnded={() => (playing.value = false)}
        onTimeUpdate={(event) => (at.value = event.currentTarget.currentTime)}
      />
    </li>
  )
}

const when = (iso: string): string => {
  const date = new Date(iso)
  return Number.isNaN(date.getTime()) ? iso : date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
}

function clock(seconds: number): string {
  const whole = Math.round(seconds)
  const [h, m, s] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60, whole % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

const size = (bytes: number): string => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`)

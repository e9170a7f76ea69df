import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { KEEP } from '../words'
import type { RoomSummary } from '../../../client'
import { rest } from '../access'
import { EarIcon, MicIcon } from '../parts/icons'
import { ErrorNotice, KeepBadge } from '../parts/notices'
import { go, roomPath } from '../router'

const REFRESH_MS = 3_000

/** What can be typed becomes what can be a room: small letters, digits, hyphens. */
export const roomName = (typed: string): string =>
  typed
    .toLowerCase()
    .normalize('NFKD')
    .replace(/[^a-z0-9_-]+/g, '-')
    .replace(/^[-_]+|-+$/g, '')
    .slice(0, 64)

export function StartPage() {
  const rooms = useSignal<RoomSummary[] | undefined>(undefined)
  const error = useSignal<unknown>(undefined)
  const typed = useSignal('')
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>
    const refresh = async () => {
      try {
        rooms.value = await rest.rooms()
        error.value = undefined
      } catch (problem) {
        error.value = problem
      }
      timer = setTimeout(refresh, REFRESH_MS)
    }
    void refresh()
    return () => clearTimeout(timer)
  }, [])
  const name = roomName(typed.value)
  const enter = (page: 'room' | 'listen') => name && go(roomPath(page, name))
  return (
    <>
      <section class="hero">
        <Threads />
        <h1>Speak, and be heard at once.</h1>
        <p class="lead">Open a room, share its address, talk. Every room says what it keeps before your microphone opens.</p>
        <form
          class="enter"
          onSubmit={(event) => {
            event.preventDefault()
            enter('room')
          }}
        >
          <label class="field">
            <span>Room</span>
            <input
              name="room"
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              placeholder="town-hall"
              value={typed.value}
              onInput={(event) => (typed.value = event.currentTarget.value)}
              aria-describedby="room-hint"
            />
          </label>
          <button class="primary" disabled={!name}>
            <MicIcon /> Talk and listen
          </button>
          <button type="button" disabled={!name} onClick={() => enter('listen')}>
            <EarIcon /> Only listen
          </button>
          <p id="room-hint" class="hint">
            {name && name !== typed.value ? (
              <>
                Its address will be <code>/room/{name}</code>
              </>
            ) : (
              'A new name opens a new room.'
            )}
          </p>
        </form>
      </section>
      <section aria-labelledby="rooms">
        <h2 id="rooms">Rooms</h2>
        {error.value !== undefined && <ErrorNotice error={error.value} />}
        {rooms.value?.length === 0 && <p class="empty">No room is open yet. Name one above.</p>}
        {rooms.value && rooms.value.length > 0 && (
          <ul class="rooms">
            {rooms.value.map((room) => (
              <RoomCard key={room.room} room={room} />
            ))}
          </ul>
        )}
      </section>
    </>
  )
}

function RoomCard({ room }: { room: RoomSummary }) {
  const people = room.present === 0 ? 'Nobody' : room.present === 1 ? '1 person' : `${room.present} people`
  const seats = room.capacity > 0 ? ` of ${room.capacity}` : ''
  return (
    <li class="room-card" data-room={room.room}>
      <div class="room-head">
        <h3>
          <a href={roomPath('room', room.room)}>{room.room}</a>
        </h3>
        {room.tracks > 0 && !room.closed && <span class="badge on-now">Live</span>}
        {room.closed && <span class="badge">Closed</span>}
      </div>
      <p class="room-facts">
        {people}
        {seats} here{room.away > 0 && `, ${room.away} away`}
        {room.tracks > 0 && ` · ${room.tracks} live`}
      </p>
      <div class="room-foot">
        {room.recording ? <span class="badge keep-record">{KEEP.record.mark} now</span> : <KeepBadge keep={room.keep} />}
        <a class="quiet-link" href={roomPath('listen', room.room)}>
          Only listen
        </a>
      </div>
    </li>
  )
}

/** Threads of sound, woven: decoration. */
function Threads() {
  const wave = (phase: number, height: number) => {
    const points = Array.from({ length: 61 }, (_, i) => {
      const x = i / 60
      const y = 60 + height * Math.sin(x * 9 + phase) * Math.sin(Math.PI * x) ** 1.5
      return `${(x * 600).toFixed(1)},${y.toFixed(1)}`
    })
    return `M${points.join('L')}`
  }
  return (
    <svg class="threads" viewBox="0 0 600 120" preserveAspectRatio="none" aria-hidden="true">
      {Array.from({ length: 9 }, (_, i) => (
        <path key={i} d={wave(i * 0.55, 18 + ((i * 13) % 34))} />
      ))}
    </svg>
  )
}

import { useSignal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { missingFeatures, AirloomError } from '../../../client'
import { linkFor, savedName } from '../access'
import { EarIcon, LeaveIcon, MicIcon, MicOffIcon, ShareIcon } from '../parts/icons'
import { Banners, LinkPill, SoundBlocked, Unkept } from '../parts/link'
import { Meter } from '../parts/meter'
import { ErrorNotice, KeepBadge, KeepNotice } from '../parts/notices'
import { People } from '../parts/people'
import { Scrubber } from '../parts/scrubber'
import { SourcePicker } from '../parts/source'
import { roomPath } from '../router'
import { Stay } from '../stay'
import { fateOf } from '../words'

/** A stay that begins with the page and ends with it. */
export function useStay(name: string): Stay {
  const stay = useMemo(() => new Stay(name), [name])
  useEffect(() => {
    void stay.look()
    const timer = setInterval(() => stay.phase.value === 'lobby' && void stay.look(), 3_000)
    const bye = () => void stay.leave()
    addEventListener('pagehide', bye)
    return () => {
      clearInterval(timer)
      removeEventListener('pagehide', bye)
      void stay.leave()
    }
  }, [stay])
  return stay
}

export function RoomPage({ name, studio }: { name: string; studio: boolean }) {
  const stay = useStay(name)
  const phase = stay.phase.value
  if (phase === 'live') return <Live stay={stay} />
  if (phase === 'over') return <Over stay={stay} />
  return <Lobby stay={stay} studio={studio} />
}

function Lobby({ stay, studio }: { stay: Stay; studio: boolean }) {
  const name = useSignal(savedName())
  const lacks = useSignal<{ listen: string[]; speak: string[] }>({ listen: [], speak: [] })
  useEffect(() => void missingFeatures().then((missing) => (lacks.value = missing)), [])
  const info = stay.info.value
  const joining = stay.phase.value === 'joining'
  const source = stay.source.value
  const people = stay.people.value.filter((person) => !person.away)
  const join = () => void stay.join(name.value.trim())
  const closed = info?.closed ?? false
  return (
    <form
      class="panel lobby"
      onSubmit={(event) => {
        event.preventDefault()
        join()
      }}
    >
      <div class="lobby-head">
        <p class="eyebrow">{studio ? 'Studio' : 'Room'}</p>
        <h1>{stay.name}</h1>
        {info && <Attendance names={people.map((p) => p.name)} capacity={info.capacity} />}
      </div>
      {info && <KeepNotice keep={fateOf(info)} />}
      {stay.error.value !== undefined && <ErrorNotice error={stay.error.value} />}
      {closed && <ErrorNotice error={new AirloomError('room_closed', '')} />}
      {lacks.value.speak.length > 0 && <ErrorNotice error={new AirloomError('unsupported', '', lacks.value.speak)} />}
      <label class="field">
        <span>Your name</span>
        <input name="name" autocomplete="nickname" maxLength={64} value={name.value} onInput={(event) => (name.value = event.currentTarget.value)} />
      </label>
      {info && !closed && lacks.value.speak.length === 0 && <SourcePicker stay={stay} />}
      <div class="actions">
        <button class={source ? 'primary' : ''} disabled={joining || closed || lacks.value.listen.length > 0}>
          {source ? <MicIcon /> : <EarIcon />}
          {joining ? (stay.link.value.attempt > 1 ? 'Trying to connect…' : 'Entering…') : source ? 'Go live' : 'Enter without speaking'}
        </button>
        <a class="quiet-link" href={roomPath('listen', stay.name)}>
          Only listen
        </a>
      </div>
    </form>
  )
}

function Attendance({ names, capacity }: { names: string[]; capacity: number }) {
  const seats = capacity > 0 ? ` (${names.length} of ${capacity})` : ''
  if (names.length === 0) return <p class="attendance">Nobody is here yet{capacity > 0 && `, ${capacity} may enter`}.</p>
  const shown = names.slice(0, 4).join(', ')
  const more = names.length > 4 ? ` and ${names.length - 4} more` : ''
  return (
    <p class="attendance">
      {shown}
      {more} {names.length === 1 ? 'is' : 'are'} here{seats}.
    </p>
  )
}

function Live({ stay }: { stay: Stay }) {
  const source = stay.source.value
  return (
    <div class="live">
      <RoomHead stay={stay} />
      <Banners stay={stay} />
      <SoundBlocked stay={stay} />
      {stay.error.value !== undefined && <ErrorNotice error={stay.error.value} />}
      <Scrubber stay={stay} />
      <People stay={stay} />
      {!source && stay.standing.speak.value && stay.link.value.state === 'open' && (
        <details class="panel later">
          <summary>
            <MicIcon /> Speak too
          </summary>
          {stay.info.value && <KeepNotice keep={fateOf(stay.info.value)} />}
          <SourcePicker stay={stay} />
        </details>
      )}
      <Controls stay={stay} />
    </div>
  )
}

export function RoomHead({ stay }: { stay: Stay }) {
  const info = stay.info.value
  return (
    <div class="room-top">
      <h1>{stay.name}</h1>
      <div class="marks">
        {info?.recording ? (
          <span class="badge keep-record recording" data-keep={info.keep}>
            <span class="rec" /> Recording
          </span>
        ) : (
          info && <KeepBadge keep={info.keep} />
        )}
        <LinkPill stay={stay} />
        <ShareButton stay={stay} />
      </div>
    </div>
  )
}

function ShareButton({ stay }: { stay: Stay }) {
  const share = async () => {
    try {
      await navigator.clipboard.writeText(await linkFor(stay.name))
      stay.say('The link is copied: send it to whom you want here')
    } catch (error) {
      stay.say(`The link could not be copied: ${(error as Error).message}`)
    }
  }
  return (
    <button type="button" class="small" onClick={() => void share()}>
      <ShareIcon /> Copy link
    </button>
  )
}

function Controls({ stay }: { stay: Stay }) {
  const source = stay.source.value
  const muted = stay.muted.value
  const live = stay.publication.value !== undefined
  return (
    <div class="controls" role="group" aria-label="Your microphone and stay">
      {source && live && (
        <>
          <button type="button" class={muted ? 'muted' : 'on-air'} aria-pressed={muted} onClick={() => stay.setMuted(!muted)}>
            {muted ? <MicOffIcon /> : <MicIcon />}
            {muted ? 'Unmute' : 'Mute'}
          </button>
          <div class="controls-level">
            <Meter source={source} muted={muted} />
            <p class="source-name">{muted ? 'Muted: nothing of this leaves your machine' : source.label || 'Live'}</p>
          </div>
        </>
      )}
      {source && !live && <p class="hint">Going live…</p>}
      {!source && <p class="hint">{hintFor(stay)}</p>}
      <button type="button" class="leave" onClick={() => void stay.leave()}>
        <LeaveIcon /> Leave
      </button>
    </div>
  )
}

function hintFor({ standing: { speak, listen, speakTaken } }: Stay): string {
  if (!listen.value) return 'You are here, and hear nothing.'
  return speak.value || speakTaken.value ? 'You are listening.' : 'You are listening. Only who has the right to speak can go live.'
}

export function Over({ stay }: { stay: Stay }) {
  const error = stay.error.value
  return (
    <div class="panel narrow">
      <h1>{error === undefined ? 'You left' : 'Your stay has ended'}</h1>
      {error === undefined ? <p>You are no longer in {stay.name}, and your microphone is off.</p> : <ErrorNotice error={error} />}
      <div role="alert">
        <Unkept stay={stay} />
      </div>
      <div class="actions">
        <button
          type="button"
          class="primary"
          onClick={() => {
            stay.error.value = undefined
            stay.phase.value = 'lobby'
            void stay.look()
          }}
        >
          Back to the room
        </button>
        <a class="quiet-link" href="/">
          All rooms
        </a>
      </div>
    </div>
  )
}

import type { Stay } from '../stay'

/** How the connection is, in two words and a dot. */
export function LinkPill({ stay }: { stay: Stay }) {
  const { state } = stay.link.value
  const words = { connecting: 'Connecting', open: 'Connected', reconnecting: 'Reconnecting', closed: 'Disconnected' }[state]
  return (
    <span class={`pill link-${state}`} data-link={state}>
      <span class="dot" />
      {words}
    </span>
  )
}

/** What is wrong at the moment, and what just happened. Told politely, never who speaks. */
export function Banners({ stay }: { stay: Stay }) {
  return (
    <div class="banners" aria-live="polite">
      {stay.lost.value && (
        <p class="banner banner-warn" data-banner="lost">
          <span class="spinner" />
          {stay.publication.value && !stay.muted.value && stay.info.value?.keep !== 'none'
            ? 'The connection dropped. It comes back by itself; what you say meanwhile is not heard live, but kept.'
            : 'The connection dropped. It comes back by itself.'}
        </p>
      )}
      {stay.log.value === 'away' && (
        <p class="banner banner-warn" data-banner="log">
          Everybody hears you, but nothing is being kept at the moment.
        </p>
      )}
      <Taken why={stay.standing.speakTaken.value} right="speak" />
      <Taken why={stay.standing.listenTaken.value} right="listen" />
      <KeepChanged stay={stay} />
      <Unkept stay={stay} />
      {stay.note.value && (
        <p class="banner" data-banner="note">
          {stay.note.value}
        </p>
      )}
    </div>
  )
}

function Taken({ why, right }: { why: string; right: string }) {
  if (!why) return null
  return (
    <p class="banner banner-warn" data-banner={right}>
      {why}
    </p>
  )
}

/** It stays until it was read: whoever speaks on agrees to it. */
function KeepChanged({ stay }: { stay: Stay }) {
  const { keepChanged } = stay.standing
  if (!keepChanged.value) return null
  return (
    <div class="banner banner-warn" data-banner="keep">
      <p>{keepChanged.value}</p>
      <button type="button" class="small" onClick={() => (keepChanged.value = '')}>
        I see
      </button>
    </div>
  )
}

/** It stays until it was read, also after leaving: what is lost can be said again. */
export function Unkept({ stay }: { stay: Stay }) {
  if (!stay.unkept.value) return null
  return (
    <div class="banner banner-warn" data-banner="unkept">
      <p>{stay.unkept.value}</p>
      <button type="button" class="small" onClick={() => (stay.unkept.value = '')}>
        I see
      </button>
    </div>
  )
}

export function SoundBlocked({ stay }: { stay: Stay }) {
  if (!stay.soundBlocked.value || !stay.standing.listen.value) return null
  return (
    <div class="sound-blocked">
      <button type="button" class="primary big" onClick={() => void stay.startSound()}>
        Start the sound
      </button>
      <p>Your browser waits for a click before it plays anything.</p>
    </div>
  )
}

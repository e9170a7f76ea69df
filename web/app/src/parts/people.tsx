import { useState } from 'preact/hooks'
import type { Person, Stay } from '../stay'
import { MicOffIcon, VolumeIcon } from './icons'

/** Who is here: speakers with a ring while they speak and a volume of their own, listeners in a row below. */
export function People({ stay }: { stay: Stay }) {
  const people = stay.people.value
  const speakers = people.filter((person) => person.speaks)
  const listeners = people.filter((person) => !person.speaks)
  return (
    <div class="people">
      <section aria-labelledby="speakers">
        <h2 id="speakers">
          Speakers <span class="count">{speakers.length}</span>
        </h2>
        {speakers.length === 0 ? (
          <p class="empty">Nobody is live yet.</p>
        ) : (
          <ul class="cards">
            {speakers.map((person) => (
              <Speaker key={person.session} person={person} stay={stay} />
            ))}
          </ul>
        )}
      </section>
      {listeners.length > 0 && (
        <section aria-labelledby="listeners">
          <h2 id="listeners">
            Listening <span class="count">{listeners.length}</span>
          </h2>
          <ul class="chips">
            {listeners.map((person) => (
              <li key={person.session} class={person.away ? 'chip away' : 'chip'} data-identity={person.identity}>
                <Face person={person} />
                <span class="name">{person.name}</span>
                {person.self && <span class="tag">you</span>}
                {person.away && <span class="tag">away</span>}
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  )
}

function Speaker({ person, stay }: { person: Person; stay: Stay }) {
  const speaking = stay.speaking.value.has(person.session) && !person.away && !stay.lost.value
  const state = person.away ? 'away' : person.muted ? 'muted' : speaking ? 'speaking' : 'quiet'
  return (
    <li class={`card ${state}`} data-identity={person.identity} data-state={state}>
      <Face person={person} />
      <div class="who">
        <span class="name">{person.name}</span>
        <span class="state">
          {person.self && <span class="tag">you</span>}
          {person.muted && !person.away && <MicOffIcon />}
          {person.away ? 'away, may come back' : person.muted ? 'muted' : speaking ? 'speaking' : 'live'}
        </span>
      </div>
      {!person.self && <Volume person={person} stay={stay} />}
    </li>
  )
}

function Volume({ person, stay }: { person: Person; stay: Stay }) {
  const [percent, setPercent] = useState(() => Math.round(stay.volume(person.identity) * 100))
  return (
    <label class="volume">
      <VolumeIcon />
      <span class="visually-hidden">Volume of {person.name}</span>
      <input
        type="range"
        min="0"
        max="150"
        step="5"
        value={percent}
        aria-valuetext={`${percent} percent`}
        style={{ '--share': `${(percent / 150) * 100}%` }}
        onInput={(event) => {
          const value = Number(event.currentTarget.value)
          setPercent(value)
          stay.setVolume(person.identity, value / 100)
        }}
      />
      <output>{percent}%</output>
    </label>
  )
}

function Face({ person }: { person: Person }) {
  const [first = '?'] = person.name
  return (
    <span class="face" style={{ '--hue': hueOf(person.identity) }} aria-hidden="true">
      {first.toUpperCase()}
    </span>
  )
}

function hueOf(text: string): number {
  let hash = 0x811c9dc5 // FNV-1a
  for (const character of text) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193)
  return (hash >>> 8) % 360
}

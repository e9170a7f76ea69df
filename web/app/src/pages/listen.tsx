import { useEffect } from 'preact/hooks'
import { AirloomError, missingFeatures } from '../../../client'
import { savedName } from '../access'
import { EarIcon, LeaveIcon } from '../parts/icons'
import { Banners, SoundBlocked } from '../parts/link'
import { ErrorNotice } from '../parts/notices'
import { People } from '../parts/people'
import { Scrubber } from '../parts/scrubber'
import { roomPath } from '../router'
import { Over, RoomHead, useStay } from './room'

/** A listener's page: it enters by itself, and asks for one click where the browser wants one. */
export function ListenPage({ name }: { name: string }) {
  const stay = useStay(name)
  const phase = stay.phase.value
  const enter = () => void stay.join(savedName() || 'Listener')
  useEffect(() => {
    void missingFeatures().then(({ listen }) => {
      if (listen.length > 0) stay.error.value = new AirloomError('unsupported', '', listen)
      else enter()
    })
  }, [stay])
  if (phase === 'over') return <Over stay={stay} />
  return (
    <div class="live">
      <RoomHead stay={stay} />
      <Banners stay={stay} />
      {stay.error.value !== undefined && (
        <ErrorNotice error={stay.error.value}>
          {phase === 'lobby' && (
            <button type="button" onClick={enter}>
              Try again
            </button>
          )}
        </ErrorNotice>
      )}
      <SoundBlocked stay={stay} />
      {phase === 'joining' && <p class="empty">{stay.link.value.attempt > 1 ? 'The server does not answer yet. Trying again…' : 'Entering…'}</p>}
      {phase === 'live' && (
        <>
          <Scrubber stay={stay} />
          <People stay={stay} />
          <div class="controls">
            <p class="hint">
              <EarIcon /> {stay.standing.listen.value ? 'You are listening. ' : 'You are here, and hear nothing. '}
              {stay.standing.speak.value && <a href={roomPath('room', name)}>Speak too</a>}
            </p>
            <button type="button" class="leave" onClick={() => void stay.leave()}>
              <LeaveIcon /> Leave
            </button>
          </div>
        </>
      )}
    </div>
  )
}

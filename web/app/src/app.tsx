import { useEffect } from 'preact/hooks'
import { Shell } from './parts/shell'
import { LostPage } from './pages/lost'
import { RecordingsPage } from './pages/recordings'
import { RoomPage } from './pages/room'
import { ListenPage } from './pages/listen'
import { StartPage } from './pages/start'
import { type Route, follow, path, routeOf } from './router'

const TITLES: Record<Route['page'], string> = {
  start: 'airloom',
  room: 'Room',
  listen: 'Listen',
  studio: 'Studio',
  recordings: 'Recordings',
  lost: 'Not found',
}

export function App() {
  const route = routeOf(path.value)
  const room = 'room' in route ? route.room : ''
  useEffect(() => {
    document.title = route.page === 'start' ? 'airloom' : `${room || TITLES[route.page]} · airloom`
  }, [route.page, room])
  return (
    <div onClick={follow}>
      <Shell page={route.page}>
        <Page key={path.value} route={route} />
      </Shell>
    </div>
  )
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case 'start':
      return <StartPage />
    case 'room':
    case 'studio':
      return <RoomPage name={route.room} studio={route.page === 'studio'} />
    case 'listen':
      return <ListenPage name={route.room} />
    case 'recordings':
      return <RecordingsPage />
    case 'lost':
      return <LostPage />
  }
}

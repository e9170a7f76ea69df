// History paths: a signal of where we are, and links that change it without a reload.

import { signal } from '@preact/signals'

export const path = signal(location.pathname)

addEventListener('popstate', () => (path.value = location.pathname))

export function go(to: string): void {
  history.pushState(null, '', to)
  path.value = location.pathname
  scrollTo(0, 0)
}

/** For links inside the app: a plain click stays in this page. */
export function follow(event: MouseEvent): void {
  const link = (event.target as Element).closest('a')
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  if (link.pathname.startsWith('/v1/')) return
  event.preventDefault()
  go(link.pathname)
}

export type Route =
  | { page: 'start' }
  | { page: 'room' | 'listen' | 'studio'; room: string }
  | { page: 'recordings' }
  | { page: 'lost' }

export function routeOf(pathname: string): Route {
  const [first = '', second, ...rest] = pathname.split('/').filter(Boolean)
  if (first === '') return { page: 'start' }
  if (first === 'recordings' && second === undefined) return { page: 'recordings' }
  if ((first === 'room' || first === 'listen' || first === 'studio') && second && rest.length === 0) {
    try {
      return { page: first, room: decodeURIComponent(second) }
    } catch {
      return { page: 'lost' } // not a valid escape
    }
  }
  return { page: 'lost' }
}

export const roomPath = (page: 'room' | 'listen' | 'studio', room: string): string => `/${page}/${encodeURIComponent(room)}`

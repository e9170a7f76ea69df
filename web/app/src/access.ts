// Who may do what: an invite from the link someone was sent, or on a local edge nothing at all.

import { HttpError, Rest } from '../../client'

const INVITE = 'airloom.invite'
const IDENTITY = 'airloom.identity'
const NAME = 'airloom.name'

/** `#invite=…` goes into this tab's memory and out of the address bar, so that it is not shared by accident. */
export function takeInvite(): void {
  const invite = new URLSearchParams(location.hash.slice(1)).get('invite')
  if (!invite) return
  sessionStorage.setItem(INVITE, invite)
  history.replaceState(null, '', location.pathname + location.search)
}

export const invite = (): string | undefined => sessionStorage.getItem(INVITE) ?? undefined

export const rest = new Rest(location.origin, invite)

export const savedName = (): string => localStorage.getItem(NAME) ?? ''

export const saveName = (name: string): void => localStorage.setItem(NAME, name)

/** A token for the room: made by the edge where it makes them, else the invite itself. The identity stays this tab's. */
export async function tokenFor(room: string, name: string): Promise<string> {
  const identity = sessionStorage.getItem(IDENTITY) ?? undefined
  try {
    const issued = await rest.token(room, { name, ...(identity && { identity }) })
    sessionStorage.setItem(IDENTITY, issued.identity)
    return issued.token
  } catch (error) {
    const own = invite()
    if (own && error instanceof HttpError && (error.status === 401 || error.status === 403)) return own
    throw error
  }
}

// Who may do what: an invite from the link someone was sent, or on an edge of one's own machine nothing at all.

import { type Grants, Rest } from '../../client'

const INVITE = 'airloom.invite'
const IDENTITY = 'airloom.identity'
const NAME = 'airloom.name'
/** A token for all rooms. */
const ANY_ROOM = '*'

/** `#invite=…` goes into this tab's memory and out of the address bar, so that it is not shared by accident. */
export function takeInvite(): void {
  const invite = new URLSearchParams(location.hash.slice(1)).get('invite')
  if (!invite) return
  sessionStorage.setItem(INVITE, invite)
  history.replaceState(null, '', location.pathname + location.search)
}

const invite = (): string | undefined => sessionStorage.getItem(INVITE) ?? undefined

/** What the invite says it allows. The edge decides; this only saves asking in vain. */
function invited(token: string): Partial<Grants & { mint: boolean }> {
  try {
    const payload = token.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/')
    return JSON.parse(atob(payload)).grants ?? {}
  } catch {
    return {}
  }
}

export const rest = new Rest(location.origin, async () => invite() ?? (await localToken()))

let local: { token: string; endsMs: number } | undefined

/** For looking around on an edge that gives tokens to whoever asks on its own machine. */
async function localToken(): Promise<string> {
  if (!local || Date.now() > local.endsMs - 60_000) {
    const { token, expires_unix } = await rest.token({ room: ANY_ROOM, identity: identity() })
    local = { token, endsMs: expires_unix * 1_000 }
  }
  return local.token
}

/** This tab's own: two tabs are two participants, a reloaded one is the same. */
function identity(): string {
  let own = sessionStorage.getItem(IDENTITY)
  if (!own) {
    const bytes = crypto.getRandomValues(new Uint8Array(5))
    own = `guest-${[...bytes].map((byte) => (byte % 36).toString(36)).join('')}`
    sessionStorage.setItem(IDENTITY, own)
  }
  return own
}

export const savedName = (): string => localStorage.getItem(NAME) ?? ''

export const saveName = (name: string): void => localStorage.setItem(NAME, name)

/** A token for the room: one made with the invite where it may make some, else the invite itself, else the edge's gift. */
export async function tokenFor(room: string, name: string): Promise<string> {
  const own = invite()
  if (own === undefined) return (await rest.token({ room, name, identity: identity() })).token
  const { mint, ...grants } = invited(own)
  if (!mint) return own
  return (await rest.token({ room, name, identity: identity(), grants }, own)).token
}

const INVITE_SECONDS = 12 * 3_600

/**
 * The address to send to somebody. With an invite that may make tokens it carries one for this room alone, to listen and
 * speak; it may make tokens too, so that each who opens it is a participant of their own.
 */
export async function linkFor(room: string): Promise<string> {
  const address = new URL(`/room/${encodeURIComponent(room)}`, location.origin)
  const own = invite()
  if (own === undefined) return address.href
  const { listen, speak, mint } = invited(own)
  if (!mint) return address.href
  const grants = { listen: listen ?? false, speak: speak ?? false, mint: true }
  const { token } = await rest.token({ room, identity: `link-${identity()}`, grants, ttl_seconds: INVITE_SECONDS }, own)
  return `${address.href}#invite=${token}`
}

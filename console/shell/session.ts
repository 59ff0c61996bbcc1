import { ProblemError } from '@gatesmith/client'
import { queryOptions, useQuery } from '@tanstack/react-query'
import { createContext, useContext } from 'react'
import { answered, api, keepCsrfToken, record, type Schemas, send, text } from '../shared/api.ts'

/** Whether somebody is signed in here, and whether an identity provider may be asked. */
export type Session = { readonly signedIn: boolean; readonly oidc: boolean }

/** The session of this browser. */
export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: () => ask('GET'),
  staleTime: Number.POSITIVE_INFINITY,
  // Another tab may have ended it, or begun another one.
  refetchOnWindowFocus: 'always',
})

/** Who is signed in, as `GET /v1/whoami` tells it. */
export type Whoami = Schemas['Whoami']

const whoamiQuery = queryOptions({
  queryKey: ['whoami'],
  queryFn: () => answered(api.GET('/v1/whoami')),
  staleTime: 300_000,
  refetchOnWindowFocus: 'always',
})

/** Asks who is signed in. */
export function useSignedIn() {
  return useQuery(whoamiQuery)
}

/** Signs in by an API key, or by the code of a one-time link. Throws ProblemError. */
export function signIn(proof: { apiKey: string } | { code: string }): Promise<Session> {
  return ask('POST', proof)
}

/** Ends the session. Throws ProblemError. */
export async function signOut(): Promise<void> {
  await ask('DELETE')
  keepCsrfToken('')
}

/** The session's own resource is no part of the public API, so it is asked for by hand. */
async function ask(method: string, body?: object): Promise<Session> {
  const response = await send(
    new Request('/console/session', {
      method,
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    }),
  )
  if (response.status === 204) return { signedIn: false, oidc: false }
  const said: unknown = await response.json()
  if (!response.ok) throw new ProblemError(response.status, said, response.headers)
  const { signedIn, oidc, csrfToken } = record(said)
  keepCsrfToken(text(csrfToken))
  return { signedIn: signedIn === true, oidc: oidc === true }
}

/** Who is signed in, for whatever is shown inside. */
export const Me = createContext<Whoami | undefined>(undefined)

/** Who is signed in. */
export function useMe(): Whoami {
  const me = useContext(Me)
  if (!me) throw new Error('Nobody is signed in')
  return me
}

/** Whether who is signed in may do something, and if not, why. */
export function useMay(permission: string, { platform = false } = {}): string | undefined {
  const { role, permissions, tenant } = useMe()
  if (!permissions.includes(permission)) return `The role ${role} may not do this`
  if (platform && tenant !== null) return 'This needs a platform-wide key'
  return undefined
}

import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { ProblemNote } from '../parts/problem.tsx'
import { Mark } from './mark.tsx'
import { type Session, sessionQuery, signIn } from './session.ts'

/** What a link or the identity provider has left behind `#`: a code that is good once, or why a sign-in was refused. It is taken out
 *  of the address, and so of the history. */
function leftInAddress(): { readonly code?: string; readonly refused?: string } {
  const left = new URLSearchParams(location.hash.slice(1))
  const code = left.get('signin')
  const refused = left.get('signin-refused')
  if (code ?? refused) history.replaceState(null, '', location.pathname + location.search)
  return { ...(code ? { code } : {}), ...(refused ? { refused } : {}) }
}

/** Why a sign-in at the identity provider was refused, by the type of the problem. */
const refusals: Readonly<Record<string, string>> = {
  forbidden: 'The provider knows you, and what it says of you opens nothing here: ask an admin',
  unavailable: 'The identity provider does not answer: try again in a moment',
}

/** Who asks? By an API key, by a one-time link, or at the identity provider. */
export function SignIn({ session }: { readonly session: Session }) {
  const client = useQueryClient()
  const [apiKey, setApiKey] = useState('')
  const entering = useMutation({
    mutationFn: signIn,
    onSuccess: (entered) => {
      // What somebody else was answered before is nothing for who is here now.
      client.removeQueries({ predicate: ({ queryKey: [noun] }) => noun !== 'session' })
      client.setQueryData(sessionQuery.queryKey, entered)
    },
  })
  const { mutate } = entering
  const [refused, setRefused] = useState<string | undefined>()
  const asked = useRef(false)
  useEffect(() => {
    document.title = 'Sign in · Gatesmith'
    // A code is good once.
    if (asked.current) return
    asked.current = true
    const left = leftInAddress()
    setRefused(left.refused)
    if (left.code !== undefined) mutate({ code: left.code })
  }, [mutate])
  const submit = (event: FormEvent) => {
    event.preventDefault()
    mutate({ apiKey: apiKey.trim() })
  }
  const returnTo = encodeURIComponent(location.pathname + location.search)
  return (
    <main className="signin">
      <div className="signin-card">
        <Mark />
        <h1>Sign in</h1>
        <p className="quiet">From a host name to working TLS on every cluster that serves it.</p>
        {entering.error ? <ProblemNote error={entering.error} /> : null}
        {refused === undefined ? null : (
          <p className="note note-bad" role="alert">
            <span>{refusals[refused] ?? `You were not signed in: ${refused}`}</span>
          </p>
        )}
        {session.oidc ? (
          <>
            <a className="button button-primary" href={`/console/oidc/start?returnTo=${returnTo}`}>
              Sign in at your identity provider
            </a>
            <p className="or">or by an API key</p>
          </>
        ) : null}
        <form onSubmit={submit}>
          <label htmlFor="api-key">API key</label>
          <input
            id="api-key"
            type="password"
            autoComplete="current-password"
            spellCheck={false}
            required
            value={apiKey}
            onChange={(event) => setApiKey(event.target.value)}
          />
          <p className="hint">
            What you see and may do is what this key sees and may do. It is not kept in the browser.
          </p>
          <button
            type="submit"
            className="button button-primary"
            aria-disabled={entering.isPending}
          >
            {entering.isPending ? 'Signing in …' : 'Sign in'}
          </button>
        </form>
      </div>
    </main>
  )
}

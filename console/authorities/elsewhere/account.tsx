import { Facts } from '../../parts/page.tsx'
import { Status } from '../../parts/status.tsx'
import { Ago, Moment } from '../../parts/time.tsx'
import { useNow } from '../../shared/clock.ts'
import type { Authority } from '../queries.ts'

type CaAccount = NonNullable<Authority['acme']>

/** A CA elsewhere: our account with it, and how names are proved to it. */
export function CaFacts({ account }: { readonly account: CaAccount }) {
  const now = useNow()
  const { directory, contact, state, url, message, nextAttempt, pausedUntil, profile } = account
  const { externalAccountBinding: binding, trustedRoots, pending, problem } = account
  const isPaused = pausedUntil !== null && new Date(pausedUntil) > now
  return (
    <div className="card stack">
      {message === null ? null : (
        <p className="note note-bad">
          <span>
            {message}
            {problem === null ? '' : ` (${problem})`}
          </span>
        </p>
      )}
      {isPaused ? (
        <p className="note note-warn">
          <span>
            The CA takes no orders for now, as it has said: they go on <Ago at={pausedUntil} />.
          </span>
        </p>
      ) : null}
      <Facts
        of={[
          [
            'Account',
            <span key="a">
              <Status of={state} /> <span className="wrap">{url}</span>
            </span>,
          ],
          ['Directory', directory],
          ['Contact', contact.join(', ') || 'nobody'],
          ['Names are proved', provedBy(account)],
          ['Profile', profile ?? 'as the CA does by itself'],
          ['Bound to', binding ? `the key ${binding.keyId}` : 'no account elsewhere'],
          ['Trusted by', trustedRoots === '' ? 'roots that Node knows' : rootsText(trustedRoots)],
          ['Registered', <Ago key="r" at={account.registeredAt} none="not yet" />],
          ...(pending.length > 0
            ? ([['Not told to the CA yet', pending.join(', ')]] as const)
            : []),
          ...(nextAttempt === null
            ? []
            : ([['Next attempt', <Moment key="n" at={nextAttempt} />]] as const)),
        ]}
      />
    </div>
  )
}

function provedBy({ challenge: { type, webhook, rfc2136 } }: CaAccount): string {
  if (webhook) return `${type}, by the webhook ${webhook.url}`
  if (rfc2136) {
    const { server, zone, keyName } = rfc2136
    return `${type}, by updates of ${zone ?? 'its zones'} at ${server}, signed by the key ${keyName}`
  }
  return `${type}, by the gateways of each host`
}

function rootsText(pem: string): string {
  const count = pem.split('-----BEGIN').length - 1
  return count === 1 ? 'a root of its own' : `${count} roots of its own`
}

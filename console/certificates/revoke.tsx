import { useQuery } from '@tanstack/react-query'
import { useId, useState } from 'react'
import { useAction } from '../parts/action.tsx'
import { Modal } from '../parts/dialog.tsx'
import { Final } from '../parts/final.tsx'
import { answered, api, type Schemas } from '../shared/api.ts'
import { nameOf } from '../shared/subject.ts'
import { type Leaf, servedQuery } from './queries.ts'

type Reason = Schemas['RevocationReason']

/** Why a certificate may be revoked (RFC 5280 5.3.1), in words. */
const reasons: Readonly<Record<Reason, string>> = {
  unspecified: 'No reason that is to be told',
  keyCompromise: 'Somebody else has the key, or may have',
  cACompromise: 'Somebody else has the key of its authority',
  affiliationChanged: 'The names or the organization are others now',
  superseded: 'Another one took its place',
  cessationOfOperation: 'What it was for is gone',
  privilegeWithdrawn: 'Who has it may not have it any more',
}

function reasonOf(text: string): Reason {
  const found = Object.entries(reasons).find(([name]) => name === text)
  const names: readonly Reason[] = [
    'keyCompromise',
    'cACompromise',
    'affiliationChanged',
    'superseded',
    'cessationOfOperation',
    'privilegeWithdrawn',
  ]
  return names.find((name) => name === found?.[0]) ?? 'unspecified'
}

/** Asks why a certificate is to be revoked, and says what that will hit, before it is done. */
export function Revoke({
  leaf,
  open,
  onClose,
}: {
  readonly leaf: Leaf
  readonly open: boolean
  readonly onClose: () => void
}) {
  const { tenant, id } = leaf
  const [reason, setReason] = useState<Reason>('superseded')
  const field = useId()
  const revoking = useAction(
    () =>
      answered(
        api.POST('/v1/tenants/{tenant}/certificates/{id}/revoke', {
          params: { path: { tenant, id } },
          body: { reason },
        }),
      ),
    [['certificates'], ['hosts']],
  )
  return (
    <Modal title={`Revoke the certificate of ${nameOf(leaf)}`} open={open} onClose={onClose}>
      <Final
        doing={revoking}
        words={['Revoke for good', 'Revoking …']}
        onSubmit={() => revoking.mutate(undefined, { onSuccess: onClose })}
        onClose={onClose}
      >
        <Hits leaf={leaf} />
        <div className="field">
          <label htmlFor={field}>Why</label>
          <select
            id={field}
            value={reason}
            onChange={(event) => setReason(reasonOf(event.target.value))}
          >
            {Object.entries(reasons).map(([name, words]) => (
              <option key={name} value={name}>
                {words} ({name})
              </option>
            ))}
          </select>
        </div>
        {reason === 'keyCompromise' ? (
          <p className="hint">
            Its key is blocked for good: no certificate is made for it any more.
          </p>
        ) : null}
      </Final>
    </Modal>
  )
}

/** What a revocation will hit. */
function Hits({ leaf }: { readonly leaf: Leaf }) {
  const { data: served = [] } = useQuery(servedQuery(leaf))
  const clusters = [...new Set(served.map(({ cluster }) => cluster))]
  const isServer = leaf.profile !== 'client'
  return (
    <div className="note note-warn">
      <div>
        <strong>This cannot be undone. It will hit:</strong>
        <ul>
          {leaf.host ? (
            <li>
              the host {leaf.host}: another certificate is issued for it and takes this one’s place
              at once
            </li>
          ) : null}
          {clusters.length > 0 ? <li>what is served on {clusters.join(', ')}</li> : null}
          {isServer ? (
            <li>clients that ask whether it was revoked: they will not connect</li>
          ) : null}
          {leaf.profile === 'server' ? null : (
            <li>who shows it as a client: MUTUAL hosts refuse the next handshake</li>
          )}
          {leaf.autoRenew && !leaf.host ? (
            <li>its renewal: nothing takes its place by itself</li>
          ) : null}
        </ul>
      </div>
    </div>
  )
}

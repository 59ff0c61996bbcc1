import { ActionButton, useAction } from '../parts/action.tsx'
import { Icon } from '../parts/icons.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { answered, api, type Schemas } from '../shared/api.ts'
import { counted } from '../shared/when.ts'
import { useMe } from '../shell/session.ts'

type Found = Pick<Schemas['AuditVerification'], 'valid' | 'events' | 'faults' | 'unlinked'>

/** Whether the trail is as it was written, from its first event to its last: it is read whole, page by page. */
async function verify(tenant: string | undefined): Promise<Found> {
  const found = { valid: true, events: 0, faults: [] as Schemas['AuditFault'][], unlinked: 0 }
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query = { ...(tenant ? { tenant } : {}), ...(cursor === '' ? {} : { cursor }) }
    const page: Schemas['AuditVerification'] = await answered(
      api.GET('/v1/audit-events/verify', { params: { query } }),
    )
    found.valid &&= page.valid
    found.events += page.events
    found.faults.push(...page.faults)
    found.unlinked = page.unlinked
    cursor = page.nextCursor
  }
  return found
}

/** Has the trail verified, and says what came of it. */
export function Verification({ tenant }: { readonly tenant?: string }) {
  const { tenant: own } = useMe()
  const verifying = useAction(() => verify(tenant ?? own ?? undefined))
  const found = verifying.data
  return (
    <div className="verification">
      <ActionButton busy={verifying.isPending} onPress={() => verifying.mutate(undefined)}>
        Verify the trail{tenant ? ` of ${tenant}` : ''}
      </ActionButton>
      {verifying.error ? <ProblemNote error={verifying.error} /> : null}
      {found ? (
        <div className={found.valid ? 'note note-good' : 'note note-bad'} role="status">
          <Icon name={found.valid ? 'good' : 'bad'} />
          <div>
            <strong>
              {found.valid ? 'It is as it was written' : 'It is not as it was written'}
            </strong>
            <p>
              {counted(found.events, 'event')} verified
              {found.unlinked > 0
                ? `; ${found.unlinked} of the last moments are not linked yet`
                : ''}
              .
            </p>
            <ul>
              {found.faults.map(({ kind, seq, message }) => (
                <li key={`${kind} ${seq}`}>
                  {kind}: {message}
                </li>
              ))}
            </ul>
          </div>
        </div>
      ) : null}
    </div>
  )
}

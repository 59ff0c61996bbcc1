import { useState } from 'react'
import { Modal } from '../parts/dialog.tsx'
import { Code, Facts } from '../parts/page.tsx'
import { Moment } from '../parts/time.tsx'
import type { Schemas } from '../shared/api.ts'

type Told = Schemas['AuditEvent']

/** What was done, which opens to all that is known of it. */
export function EventButton({ event }: { readonly event: Told }) {
  const [open, setOpen] = useState(false)
  return (
    <>
      <button type="button" className="link" onClick={() => setOpen(true)}>
        {event.action}
      </button>
      {open ? <Whole event={event} onClose={() => setOpen(false)} /> : null}
    </>
  )
}

function Whole({ event, onClose }: { readonly event: Told; readonly onClose: () => void }) {
  const { seq, at, actor, requestId, tenant, action, subject, changes, chain } = event
  return (
    <Modal title={`${action} — ${subject.name}`} open onClose={onClose} wide>
      <Facts
        of={[
          ['When', <Moment key="w" at={at} />],
          ['By', `${actor.name} (${actor.kind})`],
          ['About', `${subject.kind} ${subject.name}`],
          ['Tenant', tenant ?? 'no one tenant'],
          [
            'Request',
            requestId === null ? 'none: the service itself' : <Code key="r">{requestId}</Code>,
          ],
          ['Number', seq],
          [
            'Place in the chain',
            chain ? `${chain.position} of its chain, ${chain.index} of all` : 'not linked yet',
          ],
          ['Hash', chain ? <Code key="h">{chain.hash}</Code> : '—'],
        ]}
      />
      <h2>What changed</h2>
      <pre className="sample" tabIndex={0}>
        {JSON.stringify(changes, null, 2)}
      </pre>
    </Modal>
  )
}

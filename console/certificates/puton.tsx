import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useId, useState } from 'react'
import { useLocation } from 'wouter'
import { matrixQuery } from '../hosts/queries.ts'
import { Modal } from '../parts/dialog.tsx'
import { nameOf } from '../shared/subject.ts'
import { covers } from './covers.ts'
import type { Leaf } from './queries.ts'

type Props = { readonly leaf: Leaf; readonly open: boolean; readonly onClose: () => void }

/** Asks which host is to serve an uploaded certificate: one that is there and that its names are good for, or a new one;
 *  the form of the host does the rest. */
export function PutOn(props: Props) {
  return (
    <Modal
      title={`Put the certificate of ${nameOf(props.leaf)} on a host`}
      open={props.open}
      onClose={props.onClose}
    >
      <Which {...props} />
    </Modal>
  )
}

function Which({ leaf, onClose }: Props) {
  const { tenant, id, dnsNames } = leaf
  const [host, setHost] = useState('')
  const [, goTo] = useLocation()
  const field = useId()
  const { data } = useQuery(matrixQuery(tenant, null))
  const fitting = data?.items.filter(({ name }) => covers(dnsNames, name)) ?? []
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onClose()
    const [first = ''] = dnsNames.filter((name) => !name.startsWith('*.'))
    const which = host === '' ? { name: first } : { host }
    goTo(`/ask?${new URLSearchParams({ tenant, uploaded: id, ...which })}`)
  }
  return (
    <form onSubmit={submit}>
      <div className="field">
        <label htmlFor={field}>Host</label>
        <select id={field} value={host} onChange={(event) => setHost(event.target.value)}>
          <option value="">a new one</option>
          {fitting.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <p className="hint">
          Hosts of {tenant} that its names are good for. What a change would do is shown before it
          is done.
        </p>
      </div>
      <div className="buttons">
        <button type="submit" className="button button-primary">
          Go on
        </button>
      </div>
    </form>
  )
}

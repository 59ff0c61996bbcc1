import { type FormEvent, useId, useState } from 'react'
import { useAction } from '../parts/action.tsx'
import { Modal } from '../parts/dialog.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { answered, api } from '../shared/api.ts'
import { saveFile } from '../shared/save.ts'
import { nameOf } from '../shared/subject.ts'
import { useMay } from '../shell/session.ts'
import type { Leaf } from './queries.ts'

const formats = {
  pem: 'PEM: the certificate and its chain',
  der: 'DER: the certificate alone',
  p12: 'PKCS#12: with chain and key, under a password',
} as const
type Format = keyof typeof formats

function formatOf(text: string): Format {
  return text === 'der' || text === 'p12' ? text : 'pem'
}

/** Asks in which format a certificate is to be downloaded, and whether with its key: that is handed out once. */
export function Download({
  leaf,
  open,
  onClose,
}: {
  readonly leaf: Leaf
  readonly open: boolean
  readonly onClose: () => void
}) {
  const [format, setFormat] = useState<Format>('pem')
  const [withKey, setWithKey] = useState(false)
  const [password, setPassword] = useState('')
  const fields = { format: useId(), password: useId() }
  const mayTakeKey = useMay('read-keys')
  const whyNoKey =
    mayTakeKey ??
    (leaf.keySource === 'caller'
      ? 'its key was made by who asked for it, and never was here'
      : leaf.keySource === 'uploaded'
        ? 'what was uploaded is handed to clusters alone'
        : leaf.host === null
          ? undefined
          : 'the key of a host’s certificate is handed to its clusters alone')
  const key = whyNoKey === undefined && (withKey || format === 'p12')
  const downloading = useAction(() => download(leaf, { format, key, password }))
  const submit = (event: FormEvent) => {
    event.preventDefault()
    downloading.mutate(undefined, { onSuccess: onClose })
  }
  return (
    <Modal title={`Download the certificate of ${nameOf(leaf)}`} open={open} onClose={onClose}>
      <form onSubmit={submit}>
        <div className="field">
          <label htmlFor={fields.format}>Format</label>
          <select
            id={fields.format}
            value={format}
            onChange={(event) => setFormat(formatOf(event.target.value))}
          >
            {Object.entries(formats).map(([name, words]) => (
              <option key={name} value={name} disabled={name === 'p12' && whyNoKey !== undefined}>
                {words}
              </option>
            ))}
          </select>
        </div>
        {format === 'pem' && whyNoKey === undefined ? (
          <label className="check">
            <input
              type="checkbox"
              checked={withKey}
              onChange={(event) => setWithKey(event.target.checked)}
            />
            With its private key
          </label>
        ) : null}
        {format === 'p12' ? (
          <div className="field">
            <label htmlFor={fields.password}>Password of the file</label>
            <input
              id={fields.password}
              type="password"
              autoComplete="new-password"
              required
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          </div>
        ) : null}
        {whyNoKey === undefined ? null : (
          <p className="hint">Without its private key: {whyNoKey}.</p>
        )}
        {key ? (
          <p className="note note-warn">
            <span>
              The private key is handed out once. Keep the file where nobody else reads it.
            </span>
          </p>
        ) : null}
        {downloading.error ? <ProblemNote error={downloading.error} /> : null}
        <div className="buttons">
          <button
            type="submit"
            className="button button-primary"
            aria-disabled={downloading.isPending}
          >
            Download
          </button>
        </div>
      </form>
    </Modal>
  )
}

async function download(
  leaf: Leaf,
  {
    format,
    key,
    password,
  }: { readonly format: Format; readonly key: boolean; readonly password: string },
): Promise<void> {
  const { tenant, id } = leaf
  const content: unknown = await answered(
    api.GET('/v1/tenants/{tenant}/certificates/{id}/bundle', {
      params: {
        path: { tenant, id },
        query: { format, ...(key ? { privateKey: true } : {}) },
        header: format === 'p12' ? { 'x-bundle-password': password } : {},
      },
      parseAs: 'blob',
      headers: { accept: '*/*' },
    }),
  )
  if (content instanceof Blob)
    saveFile(`${nameOf(leaf).replace('*', 'wildcard')}.${format}`, content)
}

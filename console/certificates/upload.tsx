import { ProblemError } from '@gatesmith/client'
import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useLocation, useSearchParams } from 'wouter'
import { useAction } from '../parts/action.tsx'
import { useTenants } from '../parts/choice.tsx'
import { Field, type Violations, wrongWith } from '../parts/field.tsx'
import { Facts, Page, Section } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { Ends } from '../parts/time.tsx'
import { answered, api, type Schemas } from '../shared/api.ts'
import { useMay, useMe } from '../shell/session.ts'
import { FileDrop } from './filedrop.tsx'
import { type Leaf, leafQuery, uploadsQuery } from './queries.ts'
import { nothingSent, type Sent } from './sent.ts'

type Asked = Sent & {
  readonly tenant: string
  readonly passphrase: string
  /** The id of the one whose place it takes; empty: of none. */
  readonly replaces: string
}

/** Uploads a certificate of a CA elsewhere with its key: by file or pasted, looked at before it is stored. */
export function Upload() {
  const [params] = useSearchParams()
  const { tenant: own } = useMe()
  const tenant = own ?? params.get('tenant') ?? ''
  const replaces = params.get('replaces') ?? ''
  const first = { ...nothingSent, passphrase: '', tenant, replaces }
  return <Form key={`${tenant} ${replaces}`} first={first} />
}

function send(asked: Asked, dryRun: boolean): Promise<Leaf> {
  const { tenant, certificate, privateKey, pkcs12, passphrase, replaces } = asked
  const body: Schemas['NewUpload'] = {
    ...(pkcs12 === '' ? { certificate } : { pkcs12 }),
    ...(privateKey === '' ? {} : { privateKey }),
    ...(passphrase === '' ? {} : { passphrase }),
    ...(replaces === '' ? {} : { replaces }),
  }
  const params = { path: { tenant }, ...(dryRun ? { query: { dryRun } } : {}) }
  return answered(api.POST('/v1/tenants/{tenant}/certificates:import', { params, body }))
}

/** What is wrong that no field of the form is told beside. */
const fields = ['/certificate', '/pkcs12', '/privateKey', '/passphrase', '/replaces']

function Form({ first }: { readonly first: Asked }) {
  const [asked, setAsked] = useState(first)
  const [, goTo] = useLocation()
  const refused = useMay('write-certificates')
  const checking = useAction((what: Asked) => send(what, true))
  const uploading = useAction((what: Asked) => send(what, false), [['certificates'], ['hosts']])
  const error = uploading.error ?? checking.error
  const violations = error instanceof ProblemError ? error.violations : []
  const set = (part: Partial<Asked>) => {
    setAsked((before) => ({ ...before, ...part }))
    // What was checked is what was there then, and nothing else.
    checking.reset()
    uploading.reset()
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    checking.mutate(asked)
  }
  const upload = () =>
    uploading.mutate(asked, {
      onSuccess: ({ tenant, id }) => goTo(`/certificates/${tenant}/${id}`),
    })
  const busy = checking.isPending || uploading.isPending
  return (
    <Page
      title={first.replaces === '' ? 'Upload a certificate' : 'Upload a successor'}
      about="One that a CA elsewhere has issued, with its private key, for hosts to serve. Its CA alone can renew or revoke it."
      up={{ to: '/certificates', name: 'Certificates' }}
    >
      {refused ? (
        <p className="note note-warn">
          <span>{refused}: somebody else has to upload it.</span>
        </p>
      ) : null}
      <form className="stack" onSubmit={submit}>
        <Sending asked={asked} set={set} violations={violations} />
        <Whose asked={asked} set={set} violations={violations} fixed={first.replaces !== ''} />
        {error ? <Refusal error={error} violations={violations} /> : null}
        <div className="buttons">
          <button
            type="submit"
            className={checking.data ? 'button' : 'button button-primary'}
            aria-disabled={busy || refused !== undefined}
          >
            {checking.isPending ? 'Checking …' : 'Check it'}
          </button>
        </div>
      </form>
      {checking.data ? (
        <Section title="What it is: nothing is stored yet">
          <Found leaf={checking.data} />
          <div className="buttons">
            <button
              type="button"
              className="button button-primary"
              aria-disabled={busy || refused !== undefined}
              onClick={() => {
                if (!busy && refused === undefined) upload()
              }}
            >
              {uploading.isPending ? 'Uploading …' : 'Upload it'}
            </button>
          </div>
        </Section>
      ) : null}
    </Page>
  )
}

/** What a refusal says that stands beside no field; that it was refused is told in any case. */
function Refusal({
  error,
  violations,
}: {
  readonly error: Error
  readonly violations: Violations
}) {
  const isBeside = ({ field }: Violations[number]) => fields.includes(field)
  if (violations.length === 0 || !violations.every(isBeside)) return <ProblemNote error={error} />
  return (
    <p className="note note-bad" role="alert">
      <span>It was not taken: what is wrong is said beside the fields.</span>
    </p>
  )
}

type Part = {
  readonly asked: Asked
  readonly set: (part: Partial<Asked>) => void
  readonly violations: Violations
}

function Sending({ asked, set, violations }: Part) {
  const { certificate, privateKey, pkcs12, passphrase } = asked
  const isStore = pkcs12 !== ''
  return (
    <div className="card stack">
      <FileDrop sent={{ certificate, privateKey, pkcs12 }} onChange={set} />
      {isStore ? (
        <StoreNote asked={asked} set={set} violations={violations} />
      ) : (
        <div className="halves">
          <Field
            name="Certificate and chain (PEM)"
            hint="In any order; a root that browsers know need not be there"
            wrong={wrongWith(violations, '/certificate')}
          >
            {(ids) => (
              <textarea
                {...ids}
                rows={8}
                spellCheck={false}
                placeholder="-----BEGIN CERTIFICATE-----"
                value={certificate}
                onChange={(event) => set({ certificate: event.target.value })}
              />
            )}
          </Field>
          <Field
            name="Private key (PEM)"
            hint="Sealed at rest, and never handed out again"
            wrong={wrongWith(violations, '/privateKey')}
          >
            {(ids) => (
              <textarea
                {...ids}
                rows={8}
                spellCheck={false}
                autoComplete="off"
                placeholder="-----BEGIN PRIVATE KEY-----"
                value={privateKey}
                onChange={(event) => set({ privateKey: event.target.value })}
              />
            )}
          </Field>
        </div>
      )}
      <div className="fields">
        <Field
          name="Passphrase"
          hint={isStore ? 'Of the PKCS#12 store' : 'If the private key is encrypted'}
          wrong={wrongWith(violations, '/passphrase')}
        >
          {(ids) => (
            <input
              {...ids}
              type="password"
              autoComplete="off"
              value={passphrase}
              onChange={(event) => set({ passphrase: event.target.value })}
            />
          )}
        </Field>
      </div>
    </div>
  )
}

function StoreNote({ asked, set, violations }: Part) {
  const octets = Math.floor((asked.pkcs12.length * 3) / 4)
  return (
    <Field name="PKCS#12 store" wrong={wrongWith(violations, '/pkcs12')}>
      {(ids) => (
        <div className="beside">
          <input
            {...ids}
            readOnly
            value={`${octets.toLocaleString('en-GB')} octets, with certificates and key`}
          />
          <button type="button" className="button" onClick={() => set(nothingSent)}>
            Take it away
          </button>
        </div>
      )}
    </Field>
  )
}

function Whose({ asked, set, violations, fixed }: Part & { readonly fixed: boolean }) {
  const tenants = useTenants()
  const uploads = useQuery(uploadsQuery(asked.tenant))
  const replaced = useQuery({
    ...leafQuery({ tenant: asked.tenant, id: asked.replaces }),
    enabled: fixed,
  })
  const open = (uploads.data ?? []).filter(({ replacedBy }) => replacedBy === null)
  const known = fixed && replaced.data ? [replaced.data] : open
  return (
    <div className="card fields">
      <Field name="Tenant" hint="Whose domains its names lie under">
        {(ids) => (
          <select
            {...ids}
            required
            disabled={fixed}
            value={asked.tenant}
            onChange={(event) => set({ tenant: event.target.value, replaces: '' })}
          >
            <option value="">Choose one</option>
            {tenants.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        )}
      </Field>
      <Field
        name="Takes the place of"
        hint="Hosts and deliveries of that one have this one from then on"
        wrong={wrongWith(violations, '/replaces')}
      >
        {(ids) => (
          <select
            {...ids}
            disabled={fixed}
            value={asked.replaces}
            onChange={(event) => set({ replaces: event.target.value })}
          >
            <option value="">none: it is a new one</option>
            {asked.replaces !== '' && !known.some(({ id }) => id === asked.replaces) ? (
              <option value={asked.replaces}>{asked.replaces}</option>
            ) : null}
            {known.map(({ id, dnsNames, notAfter }) => (
              <option key={id} value={id}>
                {dnsNames.join(', ')}, until {notAfter.slice(0, 10)}
              </option>
            ))}
          </select>
        )}
      </Field>
    </div>
  )
}

function Found({ leaf }: { readonly leaf: Leaf }) {
  const { dnsNames, ipAddresses, upload, leftOut, keyAlgorithm, notAfter, chainPem, tenant } = leaf
  const above = chainPem.split('-----BEGIN CERTIFICATE-----').length - 1
  return (
    <div className="card stack">
      <Facts
        of={[
          ['Names', [...dnsNames, ...ipAddresses].join(', ')],
          ['Ends', <Ends key="e" at={notAfter} />],
          ['Signed by', upload?.issuer],
          ['Served after it', above === 1 ? '1 certificate' : `${above} certificates`],
          [
            'Leads to',
            upload && `${upload.root}, which browsers ${upload.publicRoot ? '' : 'do not '}know`,
          ],
          ['Key', keyAlgorithm],
          ['Tenant', tenant],
        ]}
      />
      {leftOut.length > 0 ? (
        <div className="note note-warn">
          <div>
            <strong>It came along and is not served:</strong>
            <ul>
              {leftOut.map((each) => (
                <li key={each}>{each}</li>
              ))}
            </ul>
          </div>
        </div>
      ) : null}
    </div>
  )
}

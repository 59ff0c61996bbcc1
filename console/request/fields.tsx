import { useQuery } from '@tanstack/react-query'
import { authoritiesQuery } from '../authorities/queries.ts'
import { uploadsQuery } from '../certificates/queries.ts'
import { clustersQuery } from '../clusters/queries.ts'
import { useTenants } from '../parts/choice.tsx'
import { Field, type Violations, wrongWith } from '../parts/field.tsx'
import type { Draft } from './draft.ts'
import { Routes } from './routes.tsx'

type Props = {
  readonly draft: Draft
  readonly onChange: (draft: Draft) => void
  readonly violations: Violations
  /** Of a host that is there: whose it is and its name stay. */
  readonly fixed: boolean
}

const modes = {
  SIMPLE: 'SIMPLE: TLS ends at the gateway',
  MUTUAL: 'MUTUAL: and clients show a certificate',
  PASSTHROUGH: 'PASSTHROUGH: TLS ends at the workload',
} as const
const plain = {
  redirect: 'redirected to HTTPS',
  serve: 'served as well',
  off: 'not served',
} as const
const algorithms = ['ECDSA_P256', 'ECDSA_P384', 'RSA_2048', 'RSA_3072', 'RSA_4096']

/** The fields of a host. */
export function Fields({ draft, onChange, violations, fixed }: Props) {
  const tenants = useTenants()
  const set = (part: Partial<Draft>) => onChange({ ...draft, ...part })
  return (
    <>
      <div className="card fields">
        <Field
          name="Host name"
          hint="As shop.example.com, or *.example.com"
          wrong={wrongWith(violations, '/name', '/host')}
        >
          {(ids) => (
            <input
              {...ids}
              required
              readOnly={fixed}
              autoComplete="off"
              spellCheck={false}
              value={draft.name}
              onChange={(event) => set({ name: event.target.value })}
            />
          )}
        </Field>
        <Field
          name="Tenant"
          hint="Whose domains the name lies under"
          wrong={wrongWith(violations, '/tenant')}
        >
          {(ids) => (
            <select
              {...ids}
              required
              disabled={fixed}
              value={draft.tenant}
              onChange={(event) => set({ tenant: event.target.value })}
            >
              <option value="">Choose one</option>
              {tenants.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          )}
        </Field>
        <Field name="TLS" wrong={wrongWith(violations, '/tls')}>
          {(ids) => (
            <select
              {...ids}
              value={draft.mode}
              onChange={({ target: { value } }) =>
                set({ mode: value === 'MUTUAL' || value === 'PASSTHROUGH' ? value : 'SIMPLE' })
              }
            >
              {Object.entries(modes).map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field name="Plain HTTP is" wrong={wrongWith(violations, '/http')}>
          {(ids) => (
            <select
              {...ids}
              value={draft.http}
              onChange={({ target: { value } }) =>
                set({ http: value === 'serve' || value === 'off' ? value : 'redirect' })
              }
            >
              {Object.entries(plain).map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <Clusters draft={draft} onChange={onChange} violations={violations} fixed={fixed} />
      <Routes draft={draft} onChange={onChange} violations={violations} />
      <details
        className="card"
        open={
          draft.uploaded !== '' ||
          wrongWith(violations, '/certificate', '/owner', '/contact') !== undefined
        }
      >
        <summary>Certificate, owner and contact — the usual unless you say otherwise</summary>
        <Others draft={draft} onChange={onChange} violations={violations} fixed={fixed} />
      </details>
    </>
  )
}

function Clusters({ draft, onChange, violations }: Props) {
  const { data } = useQuery(clustersQuery)
  const wrong = wrongWith(violations, '/clusters')
  const names = [...new Set([...(data?.map(({ name }) => name) ?? []), ...draft.clusters])]
  return (
    <fieldset className="card">
      <legend className="label">Clusters that serve it</legend>
      {names.length === 0 ? <p className="hint">No cluster is registered yet.</p> : null}
      <div className="boxes">
        {names.map((name) => (
          <label key={name} className="check">
            <input
              type="checkbox"
              checked={draft.clusters.includes(name)}
              onChange={({ target: { checked } }) =>
                onChange({
                  ...draft,
                  clusters: checked
                    ? [...draft.clusters, name]
                    : draft.clusters.filter((each) => each !== name),
                })
              }
            />
            {name}
          </label>
        ))}
      </div>
      {wrong ? <p className="wrong">{wrong}</p> : null}
    </fieldset>
  )
}

function Others({ draft, onChange, violations }: Props) {
  const { data } = useQuery(authoritiesQuery)
  const uploads = useQuery(uploadsQuery(draft.tenant))
  const set = (part: Partial<Draft>) => onChange({ ...draft, ...part })
  const of = (part: string) => wrongWith(violations, part)
  const text = (key: 'organization' | 'owner' | 'contact', name: string, pointer: string) => (
    <Field name={name} wrong={of(pointer)}>
      {(ids) => (
        <input
          {...ids}
          value={draft[key]}
          onChange={(event) => set({ [key]: event.target.value })}
        />
      )}
    </Field>
  )
  return (
    <div className="fields">
      <Field
        name="Uploaded certificate"
        hint="Then none is issued: authority, key, days and organization say nothing"
        wrong={of('/certificate/uploaded')}
      >
        {(ids) => (
          <select
            {...ids}
            value={draft.uploaded}
            onChange={(event) => set({ uploaded: event.target.value })}
          >
            <option value="">none: one is issued</option>
            {draft.uploaded !== '' && !uploads.data?.some(({ id }) => id === draft.uploaded) ? (
              <option value={draft.uploaded}>{draft.uploaded}</option>
            ) : null}
            {uploads.data?.map(({ id, dnsNames, notAfter }) => (
              <option key={id} value={id}>
                {dnsNames.join(', ')}, until {notAfter.slice(0, 10)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field name="Authority" wrong={of('/certificate/authority')}>
        {(ids) => (
          <select
            {...ids}
            value={draft.authority}
            onChange={(event) => set({ authority: event.target.value })}
          >
            <option value="">the tenant’s own</option>
            {data
              ?.filter(({ retiredAt }) => retiredAt === null)
              .map(({ name, acme }) => (
                <option key={name} value={name}>
                  {acme ? `${name}: a CA elsewhere` : name}
                </option>
              ))}
          </select>
        )}
      </Field>
      <Field name="Key" wrong={of('/certificate/keyAlgorithm')}>
        {(ids) => (
          <select
            {...ids}
            value={draft.keyAlgorithm}
            onChange={(event) => set({ keyAlgorithm: event.target.value })}
          >
            <option value="">ECDSA_P256, the usual</option>
            {algorithms.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        )}
      </Field>
      <Field name="Good for (days)" wrong={of('/certificate/validityDays')}>
        {(ids) => (
          <input
            {...ids}
            type="number"
            min={1}
            placeholder="90"
            value={draft.validityDays}
            onChange={(event) => set({ validityDays: event.target.value })}
          />
        )}
      </Field>
      {text('organization', 'Organization', '/certificate/organization')}
      {text('owner', 'Owner', '/owner')}
      {text('contact', 'Contact', '/contact')}
    </div>
  )
}

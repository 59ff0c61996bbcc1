import { ProblemError } from '@gatesmith/client'
import { type FormEvent, useState } from 'react'
import { useLocation } from 'wouter'
import { useAction } from '../../parts/action.tsx'
import { useTenants } from '../../parts/choice.tsx'
import { Field, type Violations, wrongWith } from '../../parts/field.tsx'
import { Page } from '../../parts/page.tsx'
import { ProblemNote } from '../../parts/problem.tsx'
import { answered, api } from '../../shared/api.ts'
import { useMay } from '../../shell/session.ts'
import { authorityOf, type CaDraft, newCaDraft, tsigAlgorithms, type Way, ways } from './draft.ts'

/** Registers a CA elsewhere that speaks ACME, from which hosts then take their certificates. */
export function Elsewhere() {
  const [draft, setDraft] = useState(newCaDraft)
  const [, goTo] = useLocation()
  const refused = useMay('write-authorities', { platform: true })
  const making = useAction(
    (what: CaDraft) => answered(api.POST('/v1/authorities', { body: authorityOf(what) })),
    [['authorities']],
  )
  const violations = making.error instanceof ProblemError ? making.error.violations : []
  const off = making.isPending || refused !== undefined
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (!off) making.mutate(draft, { onSuccess: ({ name }) => goTo(`/authorities/${name}`) })
  }
  const set = (part: Partial<CaDraft>) => {
    setDraft((before) => ({ ...before, ...part }))
    making.reset()
  }
  return (
    <Page
      title="Register a CA elsewhere"
      about="Let’s Encrypt or another CA that speaks ACME (RFC 8555): hosts take their certificates from it, and it decides what it signs."
      up={{ to: '/authorities', name: 'Authorities' }}
    >
      {refused ? (
        <p className="note note-warn">
          <span>{refused}: somebody else has to register it.</span>
        </p>
      ) : null}
      <form className="stack" onSubmit={submit}>
        <Account {...{ draft, set, violations }} />
        <Proofs {...{ draft, set, violations }} />
        <More {...{ draft, set, violations }} />
        <div>
          <label className="check">
            <input
              type="checkbox"
              checked={draft.agreed}
              onChange={(event) => set({ agreed: event.target.checked })}
            />
            The terms of service of this CA are agreed to
          </label>
          <Wrong of={wrongWith(violations, '/termsOfServiceAgreed')} />
        </div>
        {making.error ? <ProblemNote error={making.error} /> : null}
        <div className="buttons">
          <button type="submit" className="button button-primary" aria-disabled={off}>
            {making.isPending ? 'Registering …' : 'Register it'}
          </button>
        </div>
      </form>
    </Page>
  )
}

type Part = {
  readonly draft: CaDraft
  readonly set: (part: Partial<CaDraft>) => void
  readonly violations: Violations
}

type TextKey = Exclude<keyof CaDraft, 'agreed' | 'way'>

function Text({
  draft,
  set,
  violations,
  of,
  name,
  at,
  hint,
  kind = 'text',
  required = false,
}: Part & {
  readonly of: TextKey
  readonly name: string
  /** Its JSON Pointer. */
  readonly at: string
  readonly hint?: string
  readonly kind?: 'text' | 'url' | 'password'
  readonly required?: boolean
}) {
  return (
    <Field name={name} wrong={wrongWith(violations, at)} {...(hint ? { hint } : {})}>
      {(ids) => (
        <input
          {...ids}
          // What is no URL the service says, in its words.
          type={kind === 'password' ? 'password' : 'text'}
          inputMode={kind === 'url' ? 'url' : 'text'}
          autoComplete={kind === 'password' ? 'new-password' : 'off'}
          spellCheck={false}
          required={required}
          value={draft[of]}
          onChange={(event) => set({ [of]: event.target.value })}
        />
      )}
    </Field>
  )
}

function Account(part: Part) {
  const tenants = useTenants()
  const { draft, set, violations } = part
  return (
    <div className="card fields">
      <Text
        {...part}
        of="name"
        at="/name"
        name="Name"
        hint="As hosts name it: public, letsencrypt"
        required
      />
      <Text
        {...part}
        of="directory"
        at="/directory"
        name="Directory"
        hint="https://acme-v02.api.letsencrypt.org/directory"
        kind="url"
        required
      />
      <Text
        {...part}
        of="contact"
        at="/contact"
        name="Contact"
        hint="Mail addresses that the CA may write to"
      />
      <Field name="For" hint="Who may use it" wrong={wrongWith(violations, '/tenant')}>
        {(ids) => (
          <select
            {...ids}
            value={draft.tenant}
            onChange={(event) => set({ tenant: event.target.value })}
          >
            <option value="">every tenant</option>
            {tenants.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        )}
      </Field>
    </div>
  )
}

function Proofs(part: Part) {
  const { draft, set, violations } = part
  const { way } = draft
  const at = (name: string) => `/challenge/${way}/${name}`
  return (
    <div className="card fields">
      <Field
        name="Names are proved by"
        hint="Wildcards need dns-01"
        wrong={wrongWith(
          violations.filter(({ field }) => /^\/challenge(\/type)?$/.test(field)),
          '/challenge',
        )}
      >
        {(ids) => (
          <select
            {...ids}
            value={way}
            onChange={(event) => set({ way: wayOf(event.target.value) })}
          >
            {Object.entries(ways).map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        )}
      </Field>
      {way === 'webhook' ? (
        <Text {...part} of="url" at={at('url')} name="URL of the webhook" kind="url" required />
      ) : null}
      {way === 'rfc2136' ? <Update {...part} /> : null}
      {way === 'http' ? null : (
        <Text
          {...part}
          of="secret"
          at={at('secret')}
          name={way === 'webhook' ? 'Secret of the webhook' : 'Secret of the TSIG key'}
          hint={
            way === 'webhook'
              ? 'whsec_ and base64; sealed, and never shown'
              : 'In base64; sealed, and never shown'
          }
          kind="password"
          required
        />
      )}
    </div>
  )
}

function wayOf(text: string): Way {
  return text === 'webhook' || text === 'rfc2136' ? text : 'http'
}

function Update(part: Part) {
  const { draft, set, violations } = part
  const at = (name: string) => `/challenge/rfc2136/${name}`
  return (
    <>
      <Text
        {...part}
        of="server"
        at={at('server')}
        name="Primary name server"
        hint="host, or host:port"
        required
      />
      <Text {...part} of="zone" at={at('zone')} name="Zone" hint="Left out: the server is asked" />
      <Text {...part} of="keyName" at={at('keyName')} name="Name of the TSIG key" required />
      <Field name="Algorithm of the key" wrong={wrongWith(violations, at('algorithm'))}>
        {(ids) => (
          <select
            {...ids}
            value={draft.algorithm}
            onChange={(event) => set({ algorithm: event.target.value })}
          >
            {tsigAlgorithms.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        )}
      </Field>
    </>
  )
}

function More(part: Part) {
  const { draft, set, violations } = part
  const pointers = ['/externalAccountBinding', '/trustedRoots', '/profile', '/displayName']
  return (
    <details className="card" open={wrongWith(violations, ...pointers) !== undefined || undefined}>
      <summary>External account binding, roots of a corporate CA, and a profile</summary>
      <div className="stack">
        <div className="fields">
          <Text
            {...part}
            of="displayName"
            at="/displayName"
            name="What people call it"
            hint="Its name"
          />
          <Text
            {...part}
            of="profile"
            at="/profile"
            name="Profile"
            hint="As the CA does by itself"
          />
          <Text
            {...part}
            of="keyId"
            at="/externalAccountBinding/keyId"
            name="Key id of the binding"
            hint="Where the CA gives one out"
          />
          <Text
            {...part}
            of="hmacKey"
            at="/externalAccountBinding/hmacKey"
            name="HMAC key of the binding"
            hint="base64url; sealed, and never shown"
            kind="password"
          />
        </div>
        <Field
          name="Trusted roots (PEM)"
          hint="Of a corporate CA: its server and its certificates lead to these. Left out: those that Node knows"
          wrong={wrongWith(violations, '/trustedRoots')}
        >
          {(ids) => (
            <textarea
              {...ids}
              spellCheck={false}
              value={draft.trustedRoots}
              onChange={(event) => set({ trustedRoots: event.target.value })}
            />
          )}
        </Field>
      </div>
    </details>
  )
}

function Wrong({ of }: { readonly of: string | undefined }) {
  return of === undefined ? null : <p className="wrong">{of}</p>
}

import { ProblemError } from '@gatesmith/client'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useLocation, useSearchParams } from 'wouter'
import { Plan } from '../hosts/plan.tsx'
import { specOf as askedFor, type Host, hostQuery } from '../hosts/queries.ts'
import { useAction } from '../parts/action.tsx'
import { Loaded, Page, Section } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { answered, api, type Schemas } from '../shared/api.ts'
import { useMay, useMe } from '../shell/session.ts'
import { commandOf, curlOf, yamlOf } from './commands.ts'
import { type Draft, draftOf, newDraft, specOf } from './draft.ts'
import { Fields } from './fields.tsx'
import { Sample } from './sample.tsx'

/** Asks for a host, or for another form of one that is there. */
export function Ask() {
  const [params] = useSearchParams()
  const { tenant: own } = useMe()
  const tenant = params.get('tenant')
  const name = params.get('host')
  const uploaded = params.get('uploaded') ?? ''
  if (tenant !== null && name !== null) {
    return <Change tenant={tenant} name={name} uploaded={uploaded} />
  }
  const said = { tenant: own ?? tenant ?? '', name: params.get('name') ?? '', uploaded }
  return <Form before={undefined} first={{ ...newDraft, ...said }} />
}

function Change({
  tenant,
  name,
  uploaded,
}: {
  readonly tenant: string
  readonly name: string
  /** The certificate that it is to serve; empty: as it is. */
  readonly uploaded: string
}) {
  const query = useQuery({
    ...hostQuery({ tenant, name }),
    // What is being changed is not replaced under the hands of who changes it.
    staleTime: Number.POSITIVE_INFINITY,
  })
  return (
    <Loaded query={query} head={{ title: `Change ${name}`, up: { to: '/hosts', name: 'Hosts' } }}>
      {({ host, etag }) => {
        const draft = draftOf(host)
        const first = uploaded === '' ? draft : { ...draft, uploaded }
        return <Form before={{ host, etag }} first={first} />
      }}
    </Loaded>
  )
}

type Asked = { readonly tenant: string; readonly name: string; readonly spec: Schemas['HostSpec'] }

/** What would come of it: refused by the same checks as the request itself, or a plan. */
async function rehearse({ tenant, name, spec }: Asked): Promise<Schemas['HostPlan']> {
  const path = { tenant, host: name }
  await answered(
    api.PUT('/v1/tenants/{tenant}/hosts/{host}', {
      params: { path, query: { dryRun: true } },
      body: spec,
    }),
  )
  return answered(
    api.POST('/v1/tenants/{tenant}/hosts/{host}/plan', { params: { path }, body: { spec } }),
  )
}

function put({ tenant, name, spec }: Asked, etag: string | null) {
  const path = { tenant, host: name }
  // Somebody else may have made it meanwhile, or changed it.
  const header = etag === null ? { 'If-None-Match': '*' } : { 'If-Match': etag }
  return answered(
    api.PUT('/v1/tenants/{tenant}/hosts/{host}', { params: { path, header }, body: spec }),
  )
}

function Form({
  before,
  first,
}: {
  readonly before: { readonly host: Host; readonly etag: string | null } | undefined
  readonly first: Draft
}) {
  const [draft, setDraft] = useState(first)
  const [, goTo] = useLocation()
  const client = useQueryClient()
  const refused = useMay('write-hosts')
  const spec = specOf(draft, before ? askedFor(before.host) : undefined)
  const asked = { tenant: draft.tenant, name: draft.name.trim().toLowerCase(), spec }
  const planning = useAction(rehearse)
  const putting = useAction((what: Asked) => put(what, before?.etag ?? null))
  const error = putting.error ?? planning.error
  const violations = error instanceof ProblemError ? error.violations : []
  const change = (next: Draft) => {
    setDraft(next)
    // A plan is of what was planned, and of nothing else.
    planning.reset()
    putting.reset()
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    planning.mutate(asked)
  }
  const ask = () =>
    putting.mutate(asked, {
      onSuccess: async ({ tenant, name }) => {
        await client.invalidateQueries({ queryKey: ['hosts'] })
        goTo(`/hosts/${tenant}/${encodeURIComponent(name)}`)
      },
    })
  return (
    <Page
      title={before ? `Change ${before.host.name}` : 'Ask for a host'}
      about="A name, where it leads, and the clusters that serve it: its certificate is issued, pushed, proved and renewed by itself."
      {...(before
        ? {
            up: {
              to: `/hosts/${before.host.tenant}/${encodeURIComponent(before.host.name)}`,
              name: before.host.name,
            },
          }
        : {})}
    >
      {refused ? (
        <p className="note note-warn">
          <span>
            {refused}: you may look at what the request would be, and somebody else may send it.
          </span>
        </p>
      ) : null}
      <form className="stack" onSubmit={submit}>
        <Fields
          draft={draft}
          onChange={change}
          violations={violations}
          fixed={before !== undefined}
        />
        {error ? <ProblemNote error={error} /> : null}
        <div className="buttons">
          <button
            type="submit"
            className={planning.data ? 'button' : 'button button-primary'}
            aria-disabled={planning.isPending}
          >
            {planning.isPending ? 'Planning …' : 'Show the plan'}
          </button>
        </div>
      </form>
      {planning.data ? (
        <Section title="Plan: nothing is done yet">
          <Plan plan={planning.data} />
          <div className="buttons">
            <button
              type="button"
              className="button button-primary"
              aria-disabled={putting.isPending || refused !== undefined}
              onClick={() => {
                if (!putting.isPending && refused === undefined) ask()
              }}
            >
              {putting.isPending ? 'Asking …' : before ? 'Change it' : 'Ask for it'}
            </button>
          </div>
        </Section>
      ) : null}
      {asked.name === '' ? null : (
        <Section title="The same, without this page">
          <div className="halves">
            <Sample name="curl" text={curlOf(location.origin, asked)} />
            <div className="stack">
              <Sample name="command line" text={commandOf(asked)} />
              <Sample name="YAML" text={yamlOf(asked)} />
            </div>
          </div>
        </Section>
      )}
    </Page>
  )
}

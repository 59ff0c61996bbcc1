import { infiniteQueryOptions, useInfiniteQuery } from '@tanstack/react-query'
import { type FormEvent, useId } from 'react'
import { Link, useSearchParams } from 'wouter'
import { ActionButton, useAction } from '../parts/action.tsx'
import { TenantChoice } from '../parts/choice.tsx'
import { Empty, Page, Waiting } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import { answered, api, type Schemas } from '../shared/api.ts'
import { saveFile } from '../shared/save.ts'
import { useMay } from '../shell/session.ts'
import { EventButton } from './event.tsx'
import { Verification } from './verification.tsx'

type Told = Schemas['AuditEvent']

/** What the trail is searched by, as its parameters are called. */
const searched = ['subject', 'actor', 'action', 'from', 'to'] as const
const labels = {
  subject: 'About (its name)',
  actor: 'By (their name)',
  action: 'Action',
  from: 'From',
  to: 'To',
} as const

type Asked = Readonly<Record<string, string>>

function eventsQuery(asked: Asked) {
  return infiniteQueryOptions({
    queryKey: ['audit', 'list', asked],
    queryFn: ({ pageParam }) =>
      answered(
        api.GET('/v1/audit-events', {
          params: { query: { ...asked, limit: 100, ...(pageParam ? { cursor: pageParam } : {}) } },
        }),
      ),
    initialPageParam: '',
    getNextPageParam: ({ nextCursor }) => nextCursor,
  })
}

const columns: readonly Column<Told>[] = [
  { id: 'at', header: 'When', value: ({ at }) => at, cell: ({ at }) => <Ago at={at} /> },
  {
    id: 'action',
    header: 'What',
    value: ({ action }) => action,
    cell: (event) => <EventButton event={event} />,
  },
  {
    id: 'subject',
    header: 'About',
    value: ({ subject }) => `${subject.name} ${subject.kind}`,
    cell: ({ subject, tenant }) => (
      <>
        {placeOf(subject, tenant)}
        <span className="below">{subject.kind}</span>
      </>
    ),
  },
  {
    id: 'actor',
    header: 'By',
    value: ({ actor }) => `${actor.name} ${actor.kind}`,
    cell: ({ actor }) => (
      <>
        <span className="wrap">{actor.name}</span>
        <span className="below">{actor.kind}</span>
      </>
    ),
  },
  { id: 'tenant', header: 'Tenant', value: ({ tenant }) => tenant ?? '—' },
]

/** Where the thing is that an event is about. */
function placeOf({ kind, id, name }: Told['subject'], tenant: string | null) {
  const places: Readonly<Record<string, string | undefined>> = {
    host: tenant ? `/hosts/${tenant}/${encodeURIComponent(name)}` : undefined,
    certificate: tenant ? `/certificates/${tenant}/${id}` : undefined,
    authority: `/authorities/${name}`,
    cluster: `/clusters/${name}`,
  }
  const to = places[kind]
  return to ? (
    <Link className="wrap" href={to}>
      {name}
    </Link>
  ) : (
    <span className="wrap">{name}</span>
  )
}

/** Who did what: searched, one event in full, whether it is as it was written, and all of it as a file. */
export function Audit() {
  const refused = useMay('read-audit')
  if (refused !== undefined) {
    return (
      <Page title="Audit">
        <Empty title="The audit trail is for admins and auditors.">
          <p>{refused}. Ask an admin for a key with the role auditor.</p>
        </Empty>
      </Page>
    )
  }
  return <Trail />
}

function Trail() {
  const [params, setParams] = useSearchParams()
  const keys = [...searched, 'tenant']
  const asked = Object.fromEntries(
    keys.flatMap((key) => {
      const value = params.get(key)
      return value ? [[key, value]] : []
    }),
  )
  const query = useInfiniteQuery(eventsQuery(asked))
  const rows = query.data?.pages.flatMap(({ items }) => items) ?? []
  const exporting = useAction(() => exportAll(asked))
  return (
    <Page
      title="Audit"
      about="Who did what, newest first. Nothing in it can be changed without being seen."
      actions={
        <ActionButton busy={exporting.isPending} onPress={() => exporting.mutate(undefined)}>
          Export what is found
        </ActionButton>
      }
    >
      {exporting.error ? <ProblemNote error={exporting.error} /> : null}
      <Verification {...(asked.tenant ? { tenant: asked.tenant } : {})} />
      <Search
        key={JSON.stringify(asked)}
        asked={asked}
        onSearch={(next) => setParams(new URLSearchParams(next))}
        extra={
          <TenantChoice
            value={asked.tenant ?? ''}
            onChange={(tenant) => {
              const { tenant: _, ...others } = asked
              setParams(new URLSearchParams(tenant ? { ...others, tenant } : others))
            }}
          />
        }
      />
      {query.error ? (
        <ProblemNote error={query.error} onRetry={() => void query.refetch()} />
      ) : null}
      {query.isPending ? (
        <Waiting />
      ) : (
        <DataTable
          caption="Audit trail"
          noun="event"
          rows={rows}
          columns={columns}
          idOf={({ seq }) => seq}
          sortedBy={{ id: 'at', desc: true }}
          empty={
            <Empty title="Nothing was done that is like that.">
              <p>
                Names are whole, as hosts, keys and actions are called: host.created, for instance.
              </p>
            </Empty>
          }
        />
      )}
      {query.hasNextPage ? (
        <div className="buttons">
          <ActionButton busy={query.isFetchingNextPage} onPress={() => void query.fetchNextPage()}>
            Show older ones
          </ActionButton>
        </div>
      ) : null}
    </Page>
  )
}

function Search({
  asked,
  onSearch,
  extra,
}: {
  readonly asked: Asked
  readonly onSearch: (asked: Asked) => void
  readonly extra: React.ReactNode
}) {
  const form = useId()
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    const next = searched.flatMap((key) => {
      const value = String(data.get(key) ?? '').trim()
      if (value === '') return []
      const isTime = key === 'from' || key === 'to'
      return [[key, isTime ? new Date(value).toISOString() : value]]
    })
    onSearch({ ...Object.fromEntries(next), ...(asked.tenant ? { tenant: asked.tenant } : {}) })
  }
  return (
    <form className="filters" onSubmit={submit} aria-label="Search the whole trail">
      {searched.map((key) => (
        <div className="field" key={key}>
          <label htmlFor={`${form}${key}`}>{labels[key]}</label>
          <input
            id={`${form}${key}`}
            name={key}
            type={key === 'from' || key === 'to' ? 'datetime-local' : 'text'}
            defaultValue={key === 'from' || key === 'to' ? localInput(asked[key]) : asked[key]}
          />
        </div>
      ))}
      {extra}
      <button type="submit" className="button">
        Search the trail
      </button>
    </form>
  )
}

/** A moment as a field for it takes it, in the zone of who reads. */
function localInput(at: string | undefined): string | undefined {
  if (at === undefined) return undefined
  const then = new Date(at)
  const local = new Date(then.getTime() - then.getTimezoneOffset() * 60_000)
  return local.toISOString().slice(0, 16)
}

/** Every event that is found, one to a line, oldest first. */
async function exportAll(asked: Asked): Promise<void> {
  const content: unknown = await answered(
    api.GET('/v1/audit-events', {
      params: { query: asked },
      headers: { accept: 'application/x-ndjson' },
      parseAs: 'blob',
    }),
  )
  if (content instanceof Blob) saveFile('audit.ndjson', content)
}

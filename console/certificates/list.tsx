import { queryOptions, useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { authoritiesQuery } from '../authorities/queries.ts'
import { clustersQuery } from '../clusters/queries.ts'
import { Choice, NameFilter, TenantChoice, useNarrowing } from '../parts/choice.tsx'
import { Empty, Loaded, Page } from '../parts/page.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ends } from '../parts/time.tsx'
import { api, type Listed, listed, type Schemas } from '../shared/api.ts'
import { nameOf } from '../shared/subject.ts'
import { dateText } from '../shared/when.ts'
import { useMe } from '../shell/session.ts'

type Leaf = Pick<
  Schemas['Certificate'],
  | 'id'
  | 'tenant'
  | 'authority'
  | 'host'
  | 'profile'
  | 'status'
  | 'subject'
  | 'dnsNames'
  | 'notAfter'
  | 'autoRenew'
  | 'renewal'
>

const fields = 'id,tenant,authority,host,profile,status,subject,dnsNames,notAfter,autoRenew,renewal'
const states = ['active', 'expired', 'revoked'] as const
const renewals = ['failing', 'off'] as const

const origins = ['issued', 'uploaded'] as const

type Asked = {
  readonly origin: string | null
  readonly tenant: string | null
  readonly authority: string | null
  readonly cluster: string | null
  readonly status: string | null
  readonly renewal: string | null
  readonly name: string | null
  readonly from: string | null
  readonly to: string | null
}

function leavesQuery(asked: Asked) {
  const { tenant, authority, cluster, name, from, to } = asked
  const status = states.find((each) => each === asked.status)
  const origin = origins.find((each) => each === asked.origin)
  const renewal = renewals.find((each) => each === asked.renewal)
  return queryOptions({
    queryKey: ['certificates', 'list', asked],
    queryFn: (): Promise<Listed<Leaf>> =>
      listed((page) => {
        const query = {
          ...page,
          fields,
          ...(authority ? { authority } : {}),
          ...(cluster ? { cluster } : {}),
          ...(status ? { status } : {}),
          ...(origin ? { origin } : {}),
          ...(renewal ? { renewal } : {}),
          ...(name ? { name } : {}),
          ...(from ? { notAfterFrom: from } : {}),
          ...(to ? { notAfterTo: to } : {}),
        }
        return tenant === null
          ? api.GET('/v1/certificates', { params: { query } })
          : api.GET('/v1/tenants/{tenant}/certificates', { params: { query, path: { tenant } } })
      }),
  })
}

const columns: readonly Column<Leaf>[] = [
  {
    id: 'name',
    header: 'Names',
    value: (leaf) => [nameOf(leaf), ...leaf.dnsNames].join(' '),
    cell: (leaf) => (
      <>
        <Link className="name" href={`/certificates/${leaf.tenant}/${leaf.id}`}>
          {nameOf(leaf)}
        </Link>
        {leaf.dnsNames.length > 1 ? (
          <span className="below">and {leaf.dnsNames.slice(1).join(', ')}</span>
        ) : null}
      </>
    ),
  },
  {
    id: 'status',
    header: 'State',
    value: ({ status }) => status,
    cell: ({ status }) => <Status of={status} />,
  },
  {
    id: 'notAfter',
    header: 'Ends',
    value: ({ notAfter }) => notAfter,
    cell: ({ notAfter }) => <Ends at={notAfter} />,
  },
  {
    id: 'renewal',
    header: 'Renewal',
    value: (leaf) => renewalOf(leaf),
    cell: (leaf) => renewalOf(leaf),
  },
  { id: 'profile', header: 'For', value: ({ profile }) => profile },
  { id: 'tenant', header: 'Tenant', value: ({ tenant }) => tenant },
  { id: 'authority', header: 'Authority', value: ({ authority }) => authority ?? 'uploaded' },
]

function renewalOf({ status, autoRenew, renewal }: Leaf): string {
  if (status !== 'active') return '—'
  if (renewal.attempts > 0) return `failed ${renewal.attempts} ×`
  return autoRenew ? 'by itself' : 'not by itself'
}

/** A moment of the address, which anybody can write; null: it is none. */
function momentIn(text: string | null): string | null {
  const at = new Date(text ?? '')
  return Number.isNaN(at.getTime()) ? null : at.toISOString()
}

/** Certificates, those that end soonest first, narrowed as the address says. */
export function Certificates() {
  const { tenant: own } = useMe()
  const { params, chosen, set } = useNarrowing()
  const clusters = useQuery(clustersQuery)
  const authorities = useQuery(authoritiesQuery)
  const from = momentIn(params.get('from'))
  const to = momentIn(params.get('to'))
  const query = useQuery(
    leavesQuery({
      tenant: own ?? params.get('tenant'),
      authority: params.get('authority'),
      cluster: params.get('cluster'),
      // Of a period all are meant, of no period those that are good.
      status: params.get('status') ?? (from ? null : 'active'),
      renewal: params.get('renewal'),
      origin: params.get('origin'),
      name: params.get('name'),
      from,
      to,
    }),
  )
  return (
    <Page
      title="Certificates"
      about={
        from && to
          ? `Those that end from ${dateText(new Date(from), 'UTC')} to ${dateText(new Date(new Date(to).getTime() - 1), 'UTC')} (UTC).`
          : 'Of hosts, clients and whatever else they were issued for.'
      }
      actions={
        <Link href="/upload" className="button">
          Upload one
        </Link>
      }
      {...(from ? { up: { to: '/expiry', name: 'Expiry' } } : {})}
    >
      <Loaded query={query}>
        {({ items, complete }) => (
          <DataTable
            caption="Certificates"
            noun="certificate"
            rows={items}
            columns={columns}
            idOf={({ id }) => id}
            sortedBy={{ id: 'notAfter' }}
            incomplete={!complete}
            filters={
              <>
                {complete && chosen('name') === '' ? null : (
                  <NameFilter value={chosen('name')} onChange={set('name')} />
                )}
                <Choice
                  name="State"
                  value={chosen('status')}
                  of={states}
                  any={from ? 'any' : 'active'}
                  onChange={set('status')}
                />
                <Choice
                  name="Renewal"
                  value={chosen('renewal')}
                  of={renewals}
                  onChange={set('renewal')}
                />
                <Choice
                  name="Origin"
                  value={chosen('origin')}
                  of={origins}
                  onChange={set('origin')}
                />
                <TenantChoice value={chosen('tenant')} onChange={set('tenant')} />
                <Choice
                  name="Authority"
                  value={chosen('authority')}
                  of={authorities.data?.map(({ name }) => name) ?? []}
                  onChange={set('authority')}
                />
                <Choice
                  name="Cluster"
                  value={chosen('cluster')}
                  of={clusters.data?.map(({ name }) => name) ?? []}
                  onChange={set('cluster')}
                />
              </>
            }
            empty={
              <Empty title="No certificate is like that.">
                <p>
                  Choose less narrowly, or <Link href="/ask">ask for a host</Link>: its certificate
                  is issued and renewed by itself.
                </p>
              </Empty>
            }
          />
        )}
      </Loaded>
    </Page>
  )
}

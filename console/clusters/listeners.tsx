import { queryOptions, useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { Empty, Loaded } from '../parts/page.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { api, listed, type Schemas } from '../shared/api.ts'

type Listener = Schemas['Listener']

function listenersQuery(cluster: string) {
  return queryOptions({
    queryKey: ['listeners', cluster],
    queryFn: () =>
      listed((page) =>
        api.GET('/v1/clusters/{cluster}/listeners', {
          params: { path: { cluster }, query: page },
        }),
      ),
  })
}

const columns: readonly Column<Listener>[] = [
  {
    id: 'addresses',
    header: 'Addresses',
    value: ({ addresses }) => addresses ?? '',
    cell: ({ addresses, pod }) => (
      <>
        {addresses ?? '—'}
        <span className="below wrap">{pod}</span>
      </>
    ),
  },
  { id: 'port', header: 'Port', value: ({ port }) => port ?? 0, cell: ({ port }) => port ?? '—' },
  {
    id: 'match',
    header: 'Match',
    value: ({ match }) => match ?? '',
    cell: ({ match, host, tenant }) => (
      <>
        {match ?? '—'}
        {host && tenant ? (
          <span className="below">
            <Link href={`/hosts/${tenant}/${encodeURIComponent(host)}`}>{host}</Link>
          </span>
        ) : null}
      </>
    ),
  },
  {
    id: 'destination',
    header: 'Destination',
    value: ({ destination }) => destination ?? '',
    cell: ({ destination, reason }) => (
      <span className="wrap">
        {destination ?? '—'}
        {reason ? <span className="below">{reason}</span> : null}
      </span>
    ),
  },
  {
    id: 'tls',
    header: 'TLS',
    value: tlsOf,
  },
  {
    id: 'state',
    header: 'State',
    value: ({ state }) => state,
    cell: ({ state }) => <Status of={state} />,
  },
]

function tlsOf({ tls }: Listener): string {
  if (!tls) return '—'
  const versions = [tls.minVersion, tls.maxVersion].filter((each) => each !== null).join(' to ')
  return `${versions || 'any version'}${tls.clientCertificate ? ', client certificate' : ''}`
}

/** What the gateways of a cluster listen for, and where it leads: read from them now. */
export function Listeners({ cluster }: { readonly cluster: string }) {
  const query = useQuery(listenersQuery(cluster))
  return (
    <Loaded query={query}>
      {({ items, complete }) => (
        <DataTable
          caption="Listeners"
          noun="listener"
          rows={items}
          columns={columns}
          idOf={(each) =>
            [each.pod, each.listener, each.match, each.destination, each.state].join(' ')
          }
          sortedBy={{ id: 'port' }}
          incomplete={!complete}
          empty={<Empty title="Its gateways listen for nothing yet." />}
        />
      )}
    </Loaded>
  )
}

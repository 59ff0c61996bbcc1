import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { Link } from 'wouter'
import { Choice, NameFilter, TenantChoice, useNarrowing } from '../parts/choice.tsx'
import { Empty, Loaded, Page } from '../parts/page.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ends } from '../parts/time.tsx'
import { useFollowing } from '../shell/live.tsx'
import { useMe } from '../shell/session.ts'
import { type MatrixRow, matrixQuery, type Placement } from './queries.ts'

const words = ['Pending', 'Applied', 'Synced', 'Failed', 'Conflict'] as const

/** Every host on every cluster: Pending, Synced, Failed or Conflict, as it happens. */
export function Hosts() {
  const { tenant: own } = useMe()
  const following = useFollowing()
  const { params, chosen, set } = useNarrowing()
  const tenant = own ?? params.get('tenant')
  const query = useQuery(matrixQuery(tenant, params.get('name')))
  const items = query.data?.items
  const clusters = useMemo(() => clustersOf(items ?? []), [items])
  const columns = useMemo(() => columnsOf(clusters, own === null), [clusters, own])
  const rows = useMemo(
    () =>
      (items ?? []).filter(({ status: { clusters: placed } }) =>
        placed.some(
          ({ status, cluster }) =>
            [params.get('status') ?? status, params.get('cluster') ?? cluster].join() ===
            [status, cluster].join(),
        ),
      ),
    [items, params],
  )
  return (
    <Page
      title="Hosts"
      about={
        following === 'live'
          ? 'How each stands on each cluster, live.'
          : 'How each stands on each cluster.'
      }
      actions={
        <Link href="/ask" className="button button-primary">
          Ask for a host
        </Link>
      }
    >
      <Loaded query={query}>
        {({ complete, items: all }) =>
          all.length === 0 && !params.has('name') ? (
            <NoHosts />
          ) : (
            <DataTable
              caption="Hosts by cluster"
              noun="host"
              rows={rows}
              columns={columns}
              idOf={({ tenant: whose, name }) => `${whose}/${name}`}
              incomplete={!complete}
              filters={
                <>
                  {complete && chosen('name') === '' ? null : (
                    <NameFilter value={chosen('name')} onChange={set('name')} />
                  )}
                  <Choice
                    name="State"
                    value={chosen('status')}
                    of={words}
                    onChange={set('status')}
                  />
                  <Choice
                    name="Cluster"
                    value={chosen('cluster')}
                    of={clusters}
                    onChange={set('cluster')}
                  />
                  <TenantChoice value={chosen('tenant')} onChange={set('tenant')} />
                </>
              }
              empty={
                <Empty title="No host stands like that.">
                  <p>
                    <Link href="/hosts">Show all hosts</Link>
                  </p>
                </Empty>
              }
            />
          )
        }
      </Loaded>
    </Page>
  )
}

function clustersOf(rows: readonly MatrixRow[]): readonly string[] {
  const names = rows.flatMap(({ status }) => status.clusters.map(({ cluster }) => cluster))
  return [...new Set(names)].toSorted()
}

/** The worst comes first, when a cluster is sorted by. */
const order = ['Failed', 'Conflict', 'Pending', 'Applied', 'Synced']

function columnsOf(clusters: readonly string[], tenants: boolean): readonly Column<MatrixRow>[] {
  const whose: Column<MatrixRow> = {
    id: 'tenant',
    header: 'Tenant',
    value: ({ tenant }) => tenant,
  }
  return [
    {
      id: 'name',
      header: 'Host',
      value: ({ name }) => name,
      cell: ({ name, tenant }) => (
        <Link className="name" href={`/hosts/${tenant}/${encodeURIComponent(name)}`}>
          {name}
        </Link>
      ),
    },
    ...(tenants ? [whose] : []),
    { id: 'mode', header: 'TLS', value: ({ tls }) => tls.mode },
    {
      id: 'ends',
      header: 'Certificate ends',
      value: ({ status }) => status.certificate?.notAfter ?? '',
      cell: ({ status }) => <Ends at={status.certificate?.notAfter} none="none yet" brief />,
    },
    ...clusters.map(
      (cluster): Column<MatrixRow> => ({
        id: `on-${cluster}`,
        header: cluster,
        value: ({ status }) => {
          const on = status.clusters.filter((each) => each.cluster === cluster)
          const ranks = on.map((each) => order.indexOf(each.status))
          const word = order[Math.min(...ranks)] ?? ''
          return on.length === 0 ? '9' : `${Math.min(...ranks)} ${word}`
        },
        cell: ({ status }) => (
          <On placements={status.clusters.filter((each) => each.cluster === cluster)} />
        ),
      }),
    ),
  ]
}

function On({ placements }: { readonly placements: readonly Placement[] }) {
  if (placements.length === 0) {
    return (
      <span className="quiet">
        <span aria-hidden="true">·</span>
        <span className="unseen">not on it</span>
      </span>
    )
  }
  return placements.map(({ ingress, status, message }) => (
    <span key={ingress} className="cell">
      <Status of={status} tip={message} />
      {placements.length > 1 ? <span className="below">{ingress}</span> : null}
    </span>
  ))
}

function NoHosts() {
  return (
    <Empty title="There is no host yet.">
      <p>
        A host is a name, what it routes to, and the clusters that serve it. Its certificate is
        issued, pushed, proved and renewed by itself.
      </p>
      <Link href="/ask" className="button button-primary">
        Ask for the first one
      </Link>
    </Empty>
  )
}

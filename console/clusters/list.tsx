import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { Empty, Loaded, Page } from '../parts/page.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import type { Cluster } from './queries.ts'
import { clustersQuery } from './queries.ts'

const columns: readonly Column<Cluster>[] = [
  {
    id: 'name',
    header: 'Cluster',
    value: ({ name, server }) => `${name} ${server ?? ''}`,
    cell: ({ name, server }) => (
      <>
        <Link href={`/clusters/${name}`}>{name}</Link>
        <span className="below wrap">{server}</span>
      </>
    ),
  },
  {
    id: 'status',
    header: 'Reachable',
    value: ({ status }) => status,
    cell: ({ status, message }) => (
      <>
        <Status of={status} />
        {message ? <span className="below">{message}</span> : null}
      </>
    ),
  },
  {
    id: 'versions',
    header: 'Versions',
    value: versionsOf,
    cell: (cluster) => versionsOf(cluster) || <span className="quiet">not known yet</span>,
  },
  {
    id: 'checks',
    header: 'Missing',
    value: (cluster) => missingIn(cluster).length,
    cell: (cluster) => {
      const missing = missingIn(cluster)
      return missing.length === 0 ? (
        <span className="quiet">nothing</span>
      ) : (
        <Status of="warning" tip={missing.map(({ message }) => message).join('\n')} />
      )
    },
  },
  {
    id: 'drift',
    header: 'What others change',
    value: ({ drift }) => (drift === 'repair' ? 'is put right' : 'is reported'),
  },
  {
    id: 'checkedAt',
    header: 'Checked',
    value: ({ checkedAt }) => checkedAt ?? '',
    cell: ({ checkedAt }) => <Ago at={checkedAt} none="not yet" />,
  },
]

/** Versions of what runs on a cluster. */
export function versionsOf({ kubernetesVersion, found, api }: Cluster): string {
  const istio = found?.istioVersion ? `Istio ${found.istioVersion}` : undefined
  const gateway = found?.gatewayApiVersion ? `Gateway API ${found.gatewayApiVersion}` : undefined
  const mesh = api === 'istio' ? istio : (gateway ?? istio)
  return [kubernetesVersion ? `Kubernetes ${kubernetesVersion}` : undefined, mesh]
    .filter((each) => each !== undefined)
    .join(', ')
}

/** What of a cluster is not as hosts need it: rights, kinds, gateways. */
export function missingIn({ checks }: Cluster): Cluster['checks'] {
  return checks.filter(({ status }) => status !== 'ok')
}

/** The clusters: whether they answer, what runs there, and what is missing. */
export function Clusters() {
  const query = useQuery(clustersQuery)
  return (
    <Page
      title="Clusters"
      about="Where hosts are served: whether each answers, and lets us do what we must."
    >
      <Loaded query={query}>
        {(rows) => (
          <DataTable
            caption="Clusters"
            noun="cluster"
            rows={rows}
            columns={columns}
            idOf={({ name }) => name}
            empty={
              <Empty title="No cluster is registered.">
                <p>
                  Give Gatesmith the least rights that it needs there, then register the cluster by
                  its kubeconfig, as a platform admin:
                </p>
                <pre tabIndex={0}>
                  {
                    'gatesmith apply -f cluster.yaml\n\napiVersion: gatesmith.dev/v1\nkind: Cluster\nmetadata: { name: east }\nspec:\n  kubeconfigFile: ./kubeconfig\n  ingress: { address: "203.0.113.10:443" }'
                  }
                </pre>
              </Empty>
            }
          />
        )}
      </Loaded>
    </Page>
  )
}

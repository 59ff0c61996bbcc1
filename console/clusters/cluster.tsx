import { queryOptions, useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { EventButton } from '../audit/event.tsx'
import { ActionButton, useAction } from '../parts/action.tsx'
import { Empty, Facts, Loaded, Page, Section } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import { answered, api, type Schemas } from '../shared/api.ts'
import { counted } from '../shared/when.ts'
import { useMay } from '../shell/session.ts'
import { Gateways } from './gateways.tsx'
import { versionsOf } from './list.tsx'
import { Listeners } from './listeners.tsx'
import { type Cluster as ClusterShape, clusterQuery } from './queries.ts'

/** A cluster: whether it answers, what is missing there, what others changed, and what its gateways listen for. */
export function Cluster({ name }: { readonly name: string }) {
  const query = useQuery(clusterQuery(name))
  const refused = useMay('check-clusters', { platform: true })
  const platform = useMay('read', { platform: true })
  const path = { cluster: name }
  const checking = useAction(
    () => answered(api.POST('/v1/clusters/{cluster}/check', { params: { path } })),
    [['clusters']],
  )
  const syncing = useAction(
    () => answered(api.POST('/v1/clusters/{cluster}/sync', { params: { path } })),
    [['clusters'], ['hosts']],
  )
  return (
    <Page
      title={name}
      up={{ to: '/clusters', name: 'Clusters' }}
      about={query.data ? <span className="wrap">{query.data.server}</span> : undefined}
      actions={
        <>
          <ActionButton
            refused={refused}
            busy={checking.isPending}
            onPress={() => checking.mutate(undefined)}
          >
            Check now
          </ActionButton>
          <ActionButton
            refused={refused}
            busy={syncing.isPending}
            onPress={() => syncing.mutate(undefined)}
          >
            Look at all its hosts again
          </ActionButton>
        </>
      }
    >
      {checking.error ? <ProblemNote error={checking.error} /> : null}
      {syncing.error ? <ProblemNote error={syncing.error} /> : null}
      {syncing.data ? (
        <p className="note note-good" role="status">
          <span>{counted(syncing.data.placements, 'host is', 'hosts are')} looked at again.</span>
        </p>
      ) : null}
      <Loaded query={query}>
        {(cluster) => (
          <>
            <About cluster={cluster} />
            <Section title="What hosts need there">
              <DataTable
                caption="Checks"
                noun="check"
                rows={cluster.checks}
                columns={checkColumns}
                idOf={({ item, subject }) => `${item} ${subject ?? ''}`}
                sortedBy={{ id: 'status' }}
                empty={
                  <Empty title="It was not checked yet, or only platform-wide keys are told." />
                }
              />
            </Section>
            <Section title="Listeners">
              <Listeners cluster={name} />
            </Section>
            {platform === undefined ? <Gateways cluster={name} /> : null}
            <Repaired name={name} />
          </>
        )}
      </Loaded>
    </Page>
  )
}

function About({ cluster }: { readonly cluster: ClusterShape }) {
  const { status, message, api: kind, drift, watch, checkedAt, ingress, ingresses } = cluster
  const watching = { watching: 'watched', listing: 'looked at now and then', blind: 'not seen' }
  return (
    <div className="card">
      <Facts
        of={[
          [
            'Reachable',
            <span key="s">
              <Status of={status} /> {message}
            </span>,
          ],
          ['Versions', versionsOf(cluster) || 'not known yet'],
          [
            'Hosts become',
            kind === 'istio' ? 'Gateways and VirtualServices' : 'Gateways and HTTPRoutes',
          ],
          [
            'Ingress',
            [ingress, ...Object.values(ingresses)].map(({ address }) => address).join(', '),
          ],
          [
            'What others change',
            `${drift === 'repair' ? 'is put right' : 'is reported'}${watch ? `, ${watching[watch.mode]}` : ''}`,
          ],
          ['Left over', watch && watch.orphans.length > 0 ? watch.orphans.join(', ') : 'nothing'],
          ['Checked', <Ago key="c" at={checkedAt} none="not yet" />],
        ]}
      />
    </div>
  )
}

type Check = ClusterShape['checks'][number]

const gravity = ['failed', 'unknown', 'warning', 'ok']

const checkColumns: readonly Column<Check>[] = [
  {
    id: 'status',
    header: 'State',
    value: ({ status }) => `${gravity.indexOf(status)} ${status}`,
    cell: ({ status }) => <Status of={status} />,
  },
  {
    id: 'item',
    header: 'What',
    value: ({ item, subject }) => `${item} ${subject ?? ''}`,
    cell: ({ item, subject }) => (
      <>
        {item}
        {subject ? <span className="below wrap">{subject}</span> : null}
      </>
    ),
  },
  { id: 'message', header: 'Found', value: ({ message }) => message },
]

type Told = Schemas['AuditEvent']

function repairedQuery(action: 'host.repaired' | 'host.drifted') {
  return queryOptions({
    queryKey: ['repairs', action],
    queryFn: () =>
      answered(api.GET('/v1/audit-events', { params: { query: { action, limit: 500 } } })),
    // What is put right at once changes no status, and no event tells of it.
    refetchInterval: 30_000,
  })
}

const repairColumns: readonly Column<Told>[] = [
  { id: 'at', header: 'When', value: ({ at }) => at, cell: ({ at }) => <Ago at={at} /> },
  {
    id: 'host',
    header: 'Host',
    value: ({ subject }) => subject.name,
    cell: ({ subject, tenant }) =>
      tenant ? (
        <Link href={`/hosts/${tenant}/${encodeURIComponent(subject.name)}`}>{subject.name}</Link>
      ) : (
        subject.name
      ),
  },
  {
    id: 'what',
    header: 'What was done',
    value: ({ action }) => action,
    cell: (event) => <EventButton event={event} />,
  },
]

/** What others changed on the cluster, and what was put right: as the audit trail has it. */
function Repaired({ name }: { readonly name: string }) {
  const refused = useMay('read-audit')
  const repaired = useQuery({ ...repairedQuery('host.repaired'), enabled: refused === undefined })
  const drifted = useQuery({ ...repairedQuery('host.drifted'), enabled: refused === undefined })
  if (refused !== undefined) return null
  const rows = [...(repaired.data?.items ?? []), ...(drifted.data?.items ?? [])].filter(
    ({ changes }) => JSON.stringify(changes).includes(JSON.stringify(name)),
  )
  return (
    <Section title="Changed by others, and put right">
      <DataTable
        caption="What others changed"
        noun="event"
        rows={rows}
        columns={repairColumns}
        idOf={({ seq }) => seq}
        sortedBy={{ id: 'at', desc: true }}
        search={rows.length > 10}
        empty={<Empty title="Nobody else has changed anything of ours here." />}
      />
    </Section>
  )
}

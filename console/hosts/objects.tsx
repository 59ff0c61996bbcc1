import { Empty } from '../parts/page.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import type { Host, Placement } from './queries.ts'

type Row = Placement['objects'][number] & { readonly cluster: string; readonly drift: string }

const columns: readonly Column<Row>[] = [
  { id: 'cluster', header: 'Cluster', value: ({ cluster }) => cluster },
  { id: 'kind', header: 'Kind', value: ({ kind }) => kind },
  { id: 'namespace', header: 'Namespace', value: ({ namespace }) => namespace },
  {
    id: 'name',
    header: 'Name',
    value: ({ name }) => name,
    cell: ({ name }) => <code className="wrap">{name}</code>,
  },
  {
    id: 'drift',
    header: 'As we put it',
    value: ({ drift }) => drift,
    cell: ({ drift }) =>
      drift === '' ? (
        <Status of="yes" />
      ) : (
        <>
          <Status of="no" />
          <span className="below">{drift}</span>
        </>
      ),
  },
]

/** What carries a host on its clusters, and whether others have changed it. */
export function Objects({ host }: { readonly host: Host }) {
  const rows = host.status.clusters.flatMap(({ cluster, objects, drift }) =>
    objects.map((object) => {
      const found = drift.find(
        (each) => each.object.kind === object.kind && each.object.name === object.name,
      )
      const who = found?.managers.map(({ manager }) => manager).join(', ')
      const said = found?.missing
        ? 'gone'
        : `changed${who ? ` by ${who}` : ''}: ${found?.fields.join(', ')}`
      return { ...object, cluster, drift: found ? said : '' }
    }),
  )
  return (
    <DataTable
      caption="Kubernetes objects"
      noun="object"
      rows={rows}
      columns={columns}
      idOf={({ cluster, kind, namespace, name }) => [cluster, kind, namespace, name].join('/')}
      empty={<Empty title="Nothing is on a cluster yet." />}
    />
  )
}

import { useQuery } from '@tanstack/react-query'
import { EventButton } from '../audit/event.tsx'
import { Empty, Loaded } from '../parts/page.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import type { Schemas } from '../shared/api.ts'
import { historyQuery } from './queries.ts'

type Told = Schemas['AuditEvent']

const columns: readonly Column<Told>[] = [
  { id: 'at', header: 'When', value: ({ at }) => at, cell: ({ at }) => <Ago at={at} /> },
  {
    id: 'action',
    header: 'What',
    value: ({ action }) => action,
    cell: (event) => <EventButton event={event} />,
  },
  { id: 'actor', header: 'By', value: ({ actor }) => actor.name },
  {
    id: 'changed',
    header: 'Changed',
    value: ({ changes }) => changedOf(changes),
    cell: ({ changes }) => <span className="wrap">{changedOf(changes) || '—'}</span>,
  },
]

function changedOf({ changed }: Told['changes']): string {
  return typeof changed === 'object' && changed !== null ? Object.keys(changed).join(', ') : ''
}

/** What was done to a host, by whom and when. */
export function History({ tenant, name }: { readonly tenant: string; readonly name: string }) {
  const query = useQuery(historyQuery({ tenant, name }))
  return (
    <Loaded query={query}>
      {({ items, complete }) => (
        <DataTable
          caption={`History of ${name}`}
          noun="event"
          rows={items}
          columns={columns}
          idOf={({ seq }) => seq}
          sortedBy={{ id: 'at', desc: true }}
          incomplete={!complete}
          empty={<Empty title="Nothing was done to it yet." />}
        />
      )}
    </Loaded>
  )
}

import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { gatewaysQuery } from '../foreign/queries.ts'
import { Empty, Loaded, Section } from '../parts/page.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import type { Schemas } from '../shared/api.ts'

type Gateway = Schemas['Gateway']

/** The gateway pods of a cluster: what certificates each was last seen to hold, or why it could not be read. */
export function Gateways({ cluster }: { readonly cluster: string }) {
  const query = useQuery(gatewaysQuery(cluster))
  const columns: readonly Column<Gateway>[] = [
    { id: 'pod', header: 'Pod', value: ({ pod }) => pod ?? '—' },
    { id: 'ingress', header: 'Ingress', value: ({ ingress }) => ingress },
    {
      id: 'certificates',
      header: 'Certificates',
      value: ({ certificates }) => certificates,
      cell: ({ certificates, reason }) =>
        reason === null ? certificates : <span className="wrong">not read: {reason}</span>,
    },
    {
      id: 'foreign',
      header: 'Foreign',
      value: ({ foreign }) => foreign,
      cell: ({ foreign }) =>
        foreign === 0 ? (
          <span className="quiet">none</span>
        ) : (
          <Link href={`/foreign?${new URLSearchParams({ cluster })}`}>{foreign}</Link>
        ),
    },
    {
      id: 'readAt',
      header: 'Read',
      value: ({ readAt }) => readAt,
      cell: ({ readAt }) => <Ago at={readAt} />,
    },
  ]
  return (
    <Section title="Certificates that its gateways hold">
      <Loaded query={query}>
        {(rows) => (
          <DataTable
            caption="Gateways"
            noun="pod"
            rows={rows}
            columns={columns}
            idOf={({ ingress, pod }) => `${ingress} ${pod}`}
            search={rows.length > 10}
            empty={
              <Empty title="They were not read yet: that is done every hour, and by a check." />
            }
          />
        )}
      </Loaded>
    </Section>
  )
}

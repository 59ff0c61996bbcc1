import { queryOptions, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import { Choice } from '../../parts/choice.tsx'
import { Empty, Loaded, Section } from '../../parts/page.tsx'
import { Status } from '../../parts/status.tsx'
import { type Column, DataTable } from '../../parts/table.tsx'
import { Ago } from '../../parts/time.tsx'
import { api, type Listed, listed, type Schemas } from '../../shared/api.ts'

type Order = Schemas['CaOrder']

function ordersQuery(authority: string, open: boolean) {
  return queryOptions({
    queryKey: ['authorities', 'orders', authority, open],
    queryFn: (): Promise<Listed<Order>> =>
      listed((page) =>
        api.GET('/v1/authorities/{authority}/orders', {
          params: {
            path: { authority },
            query: { ...page, sort: '-createdAt', ...(open ? { open } : {}) },
          },
        }),
      ),
    // They go on by themselves, and no event tells of them.
    refetchInterval: 5_000,
  })
}

const columns: readonly Column<Order>[] = [
  {
    id: 'host',
    header: 'Host',
    value: ({ host, names }) => [host ?? '', ...names].join(' '),
    cell: ({ host, names, tenant }) => (
      <>
        {host === null ? (
          (names[0] ?? '—')
        ) : (
          <Link className="name" href={`/hosts/${tenant}/${encodeURIComponent(host)}`}>
            {host}
          </Link>
        )}
        <span className="below">
          {host === null
            ? 'it is gone'
            : `${tenant}${names.length > 1 ? `, ${names.length} names` : ''}`}
        </span>
      </>
    ),
  },
  {
    id: 'state',
    header: 'State',
    value: ({ state }) => state,
    cell: ({ state }) => <Status of={state} />,
  },
  {
    id: 'message',
    header: 'What it waits for, or why it failed',
    value: ({ message, problem }) => `${message ?? ''} ${problem ?? ''}`,
    cell: ({ message, problem, endedAt, retryAt, certificate, tenant }) => (
      <>
        {certificate === null ? (
          <span className="wrap">{message ?? '—'}</span>
        ) : (
          <Link href={`/certificates/${tenant}/${certificate}`}>its certificate</Link>
        )}
        {certificate === null && problem !== null ? <span className="below">{problem}</span> : null}
        {endedAt === null && retryAt !== null ? (
          <span className="below">
            asked again <Ago at={retryAt} />
          </span>
        ) : null}
      </>
    ),
  },
  {
    id: 'createdAt',
    header: 'Ordered',
    value: ({ createdAt }) => createdAt,
    cell: ({ createdAt }) => <Ago at={createdAt} />,
  },
  {
    id: 'endedAt',
    header: 'Ended',
    value: ({ endedAt }) => endedAt ?? '',
    cell: ({ endedAt }) => <Ago at={endedAt} none="under way" />,
  },
]

/** What hosts have ordered of a CA elsewhere: what is under way, what it waits for, and why others failed. */
export function Orders({ authority }: { readonly authority: string }) {
  const [open, setOpen] = useState(false)
  const query = useQuery(ordersQuery(authority, open))
  return (
    <Section title="Orders">
      <Loaded query={query}>
        {({ items, complete }) => (
          <DataTable
            caption="Orders"
            noun="order"
            rows={items}
            columns={columns}
            idOf={({ id }) => id}
            sortedBy={{ id: 'createdAt', desc: true }}
            incomplete={!complete}
            filters={
              <Choice
                name="Which"
                value={open ? 'under way' : ''}
                of={['under way']}
                any="all"
                onChange={(value) => setOpen(value !== '')}
              />
            }
            empty={
              <Empty
                title={open ? 'No order is under way.' : 'No host has ordered anything of it yet.'}
              >
                <p>
                  A host takes its certificates from here once it names this authority:{' '}
                  <Link href="/ask">ask for a host</Link>.
                </p>
              </Empty>
            }
          />
        )}
      </Loaded>
    </Section>
  )
}

import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { clustersQuery } from '../clusters/queries.ts'
import { Choice, NameFilter, useNarrowing } from '../parts/choice.tsx'
import { Empty, Loaded, Page } from '../parts/page.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ago, Ends } from '../parts/time.tsx'
import { useMe } from '../shell/session.ts'
import { type Foreign as Found, foreignQuery, type Unread, unreadQuery } from './queries.ts'

const periods = { 'a week': 'P7D', '30 days': 'P30D', '90 days': 'P90D' } as const

function periodOf(words: string | null): string | null {
  return Object.entries(periods).find(([each]) => each === words)?.[1] ?? null
}

const columns: readonly Column<Found>[] = [
  {
    id: 'names',
    header: 'Names',
    value: ({ dnsNames, ipAddresses, subject, servedNames }) =>
      [...dnsNames, ...ipAddresses, subject, ...servedNames].join(' '),
    cell: (found) => <Names found={found} />,
  },
  {
    id: 'notAfter',
    header: 'Ends',
    value: ({ notAfter }) => notAfter,
    cell: ({ notAfter }) => <Ends at={notAfter} />,
  },
  {
    id: 'cluster',
    header: 'Cluster',
    value: ({ cluster, ingress }) => `${cluster} ${ingress}`,
    cell: ({ cluster, ingress, pods }) => (
      <>
        <Link href={`/clusters/${cluster}`}>{cluster}</Link>
        <span className="below">
          {ingress === 'default' ? '' : `${ingress}, `}
          {pods === 0 ? 'seen to be served' : `${pods} ${pods === 1 ? 'pod' : 'pods'}`}
        </span>
      </>
    ),
  },
  {
    id: 'credential',
    header: 'Secret, and Gateways that name it',
    value: ({ credential, gateways }) => `${credential} ${gateways.join(' ')}`,
    cell: ({ credential, gateways }) => (
      <>
        <span className="wrap">{credential.replace('kubernetes://', '')}</span>
        <span className="below">{gateways.join(', ')}</span>
      </>
    ),
  },
  {
    id: 'issuer',
    header: 'Signed by',
    value: ({ issuer }) => issuer,
    cell: ({ issuer, keyAlgorithm }) => (
      <>
        <span className="wrap">{issuer}</span>
        <span className="below">{keyAlgorithm}</span>
      </>
    ),
  },
  {
    id: 'seenAt',
    header: 'Seen',
    value: ({ seenAt }) => seenAt,
    cell: ({ seenAt }) => <Ago at={seenAt} />,
  },
]

function Names({ found }: { readonly found: Found }) {
  const { dnsNames, ipAddresses, subject, servedNames } = found
  const [first = subject, ...more] = [...dnsNames, ...ipAddresses]
  const others = servedNames.filter((name) => name !== first && !more.includes(name))
  return (
    <>
      <strong className="wrap">{first}</strong>
      {more.length > 0 ? <span className="below">and {some(more)}</span> : null}
      {others.length > 0 ? (
        <span className="below">
          served for {others.includes('*') ? 'every name' : some(others)}
        </span>
      ) : null}
    </>
  )
}

function some(names: readonly string[]): string {
  const few = names.slice(0, 4).join(', ')
  return names.length > 4 ? `${few} and ${names.length - 4} more` : few
}

/** Certificates that gateways of the clusters hold and that nobody has here: whose end nobody looks after. */
export function Foreign() {
  const { tenant } = useMe()
  if (tenant !== null) {
    return (
      <Page title="Foreign certificates">
        <p className="note note-warn">
          <span>This needs a platform-wide key: whose these certificates are is not known.</span>
        </p>
      </Page>
    )
  }
  return <Inventory />
}

function Inventory() {
  const { params, chosen, set } = useNarrowing()
  const clusters = useQuery(clustersQuery)
  const query = useQuery(
    foreignQuery({
      cluster: params.get('cluster'),
      within: periodOf(params.get('within')),
      name: params.get('name'),
    }),
  )
  const unread = useQuery(unreadQuery)
  return (
    <Page
      title="Foreign certificates"
      about="What the gateways of the clusters hold and nobody has here: nothing renews it, and nobody is told of its end. Read every hour."
      actions={
        <Link href="/upload" className="button">
          Upload one
        </Link>
      }
    >
      <NotRead rows={unread.data ?? []} />
      <Loaded query={query}>
        {({ items, complete }) => (
          <DataTable
            caption="Foreign certificates"
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
                  name="Ends within"
                  value={chosen('within')}
                  of={Object.keys(periods)}
                  onChange={set('within')}
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
              <Empty title="No gateway holds a certificate that is not here.">
                <p>
                  Those of hosts are among the <Link href="/certificates">certificates</Link>. A
                  cluster that was registered just now is read within the hour, and when it is
                  checked.
                </p>
              </Empty>
            }
          />
        )}
      </Loaded>
    </Page>
  )
}

/** Which gateways could not be read: what they hold is not known. */
function NotRead({ rows }: { readonly rows: readonly Unread[] }) {
  if (rows.length === 0) return null
  return (
    <div className="note note-warn">
      <div>
        <strong>Not all gateways could be read:</strong>
        <ul>
          {rows.slice(0, 5).map(({ cluster, reason }) => (
            <li key={`${cluster} ${reason}`}>
              <Link href={`/clusters/${cluster}`}>{cluster}</Link>: {reason}
            </li>
          ))}
          {rows.length > 5 ? <li>and {rows.length - 5} more</li> : null}
        </ul>
      </div>
    </div>
  )
}

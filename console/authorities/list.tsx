import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { Empty, Loaded, Page } from '../parts/page.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ends } from '../parts/time.tsx'
import { useNow } from '../shared/clock.ts'
import type { Authority } from './queries.ts'
import { authoritiesQuery } from './queries.ts'

/** How much of its life an authority has left, as a bar and in words. */
export function LifeLeft({ notBefore, notAfter }: Pick<Authority, 'notBefore' | 'notAfter'>) {
  const now = useNow().getTime()
  if (notBefore === null || notAfter === null)
    return <span className="life-words">a CA elsewhere</span>
  const [from, to] = [new Date(notBefore).getTime(), new Date(notAfter).getTime()]
  const left = Math.max(0, Math.min(1, (to - now) / (to - from)))
  const percent = Math.round(left * 100)
  return (
    <>
      <meter
        className="life"
        min={0}
        max={100}
        low={10}
        optimum={100}
        value={percent}
        aria-label="Life left"
      >
        {percent} %
      </meter>
      <span className="life-words">
        {percent} % left, ends <Ends at={notAfter} brief />
      </span>
    </>
  )
}

/** Where the key of an authority is, in words. */
export const keyStores = {
  sealed: 'sealed in the database',
  pkcs11: 'in a token',
  absent: 'not here',
} as const

const columns: readonly Column<Authority>[] = [
  {
    id: 'name',
    header: 'Authority',
    value: ({ displayName, name }) => `${displayName} ${name}`,
    cell: ({ displayName, name }) => (
      <>
        <Link href={`/authorities/${name}`}>{displayName}</Link>
        {displayName === name ? null : <span className="below">{name}</span>}
      </>
    ),
  },
  {
    id: 'kind',
    header: 'Kind',
    value: ({ kind, parent }) => (parent ? `${kind} below ${parent}` : kind),
  },
  {
    id: 'life',
    header: 'Life left',
    value: ({ notAfter }) => notAfter ?? '',
    cell: (authority) => <LifeLeft {...authority} />,
  },
  {
    id: 'key',
    header: 'Key',
    value: ({ keyAlgorithm, keyStore, acme }) =>
      acme ? `account ${acme.state}` : `${keyAlgorithm}, ${keyStores[keyStore]}`,
    cell: ({ keyAlgorithm, keyStore, acme }) =>
      acme ? (
        <>
          account <Status of={acme.state} tip={acme.message} />
        </>
      ) : (
        `${keyAlgorithm}, ${keyStores[keyStore]}`
      ),
  },
  {
    id: 'lists',
    header: 'Lists',
    value: ({ lists }) => lists?.staleAt ?? '',
    cell: ({ lists, signsLists, acme }) =>
      acme ? (
        <span className="quiet">of its own</span>
      ) : lists ? (
        <>
          good for <Ends at={lists.staleAt} brief />
          <span className="below">{lists.entries} revoked</span>
        </>
      ) : (
        <span className="quiet">{signsLists ? 'none yet' : 'OCSP alone'}</span>
      ),
  },
  {
    id: 'state',
    header: 'State',
    value: ({ retiredAt }) => (retiredAt ? 'retired' : 'active'),
    cell: ({ retiredAt }) => <Status of={retiredAt ? 'retired' : 'active'} />,
  },
]

/** The authorities: how long each is good for, where its key is, and how fresh its lists are. */
export function Authorities() {
  const query = useQuery(authoritiesQuery)
  return (
    <Page
      title="Authorities"
      about="Who signs certificates: life left, keys, and what tells of revocations."
      actions={
        <Link href="/elsewhere" className="button">
          Register a CA elsewhere
        </Link>
      }
    >
      <Loaded query={query}>
        {(rows) => (
          <DataTable
            caption="Authorities"
            noun="authority"
            rows={rows}
            columns={columns}
            idOf={({ name }) => name}
            empty={
              <Empty title="There is no certificate authority yet.">
                <p>Make a root, and an intermediate below it that signs, as a platform admin:</p>
                <pre tabIndex={0}>
                  {
                    'gatesmith apply -f authorities.yaml\n\napiVersion: gatesmith.dev/v1\nkind: Authority\nmetadata: { name: example-root }\nspec: { kind: root, subject: { commonName: Example root } }\n---\napiVersion: gatesmith.dev/v1\nkind: Authority\nmetadata: { name: example-issuing }\nspec: { kind: intermediate, parent: example-root, subject: { commonName: Example issuing } }'
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

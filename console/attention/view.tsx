import { useQueries } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import { authoritiesQuery } from '../authorities/queries.ts'
import { clustersQuery } from '../clusters/queries.ts'
import { ActionButton, useAction } from '../parts/action.tsx'
import { Empty, Page, Waiting } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ends } from '../parts/time.tsx'
import { answered, api } from '../shared/api.ts'
import { useNow } from '../shared/clock.ts'
import { useFollowing } from '../shell/live.tsx'
import { useMay, useMe } from '../shell/session.ts'
import { type Concern, concerns, type Kind, kinds, type Remedy } from './concerns.ts'
import { hostsQuery, leavesQuery } from './queries.ts'

const columns: readonly Column<Concern>[] = [
  { id: 'state', header: 'State', value: ({ state }) => state, cell: StateOf },
  {
    id: 'name',
    header: 'What',
    value: ({ name, of }) => `${name} ${of}`,
    cell: ({ name, of, to }) => (
      <>
        <Link href={to}>{name}</Link>
        <span className="below">{of}</span>
      </>
    ),
  },
  {
    id: 'why',
    header: 'Why',
    value: ({ why }) => why,
    cell: ({ why }) => <p className="why">{why}</p>,
  },
  {
    id: 'by',
    header: 'By when',
    value: ({ by }) => by ?? '',
    cell: ({ by }) => <Ends at={by} none="now" />,
  },
  {
    id: 'remedy',
    header: 'To do',
    value: ({ kind }) => kinds[kind],
    cell: ({ remedy, name }) => <RemedyOf remedy={remedy} name={name} />,
  },
]

/** What needs attention: how much of each kind, and one row with one thing to do for each. */
export function Attention() {
  const { tenant } = useMe()
  const now = useNow()
  const following = useFollowing()
  const [only, setOnly] = useState<Kind | undefined>()
  const queries = useQueries({
    queries: [
      leavesQuery(tenant, 'failing'),
      leavesQuery(tenant, 'off'),
      hostsQuery(tenant, 'Failed'),
      hostsQuery(tenant, 'Conflict'),
      clustersQuery,
      authoritiesQuery,
    ],
  })
  const [failing, unrenewed, failed, conflicting, clusters, authorities] = queries
  const refused = queries.find(({ error }) => error !== null)
  const waiting = queries.some(({ isPending }) => isPending)
  const all = concerns(
    {
      failing: failing.data?.items ?? [],
      unrenewed: unrenewed.data?.items ?? [],
      hosts: distinct([...(failed.data?.items ?? []), ...(conflicting.data?.items ?? [])]),
      clusters: clusters.data ?? [],
      authorities: authorities.data ?? [],
    },
    now,
  )
  const shown = only === undefined ? all : all.filter(({ kind }) => kind === only)
  const bare = clusters.data?.length === 0 || authorities.data?.length === 0
  return (
    <Page
      title="Needs attention"
      about={
        following === 'live' ? 'Followed as it happens.' : 'Looked at when the page was opened.'
      }
    >
      {refused ? (
        <ProblemNote error={refused.error} onRetry={() => void refused.refetch()} />
      ) : null}
      <fieldset className="counts">
        <legend className="unseen">Show one kind alone</legend>
        {kindsInOrder.map((kind) => {
          const count = all.filter((each) => each.kind === kind).length
          return (
            <button
              key={kind}
              type="button"
              className={count > 0 ? 'count count-some' : 'count'}
              aria-pressed={only === kind}
              onClick={() => setOnly(only === kind ? undefined : kind)}
            >
              <span className="count-number">{waiting ? '…' : count}</span>
              {kinds[kind]}
            </button>
          )
        })}
      </fieldset>
      {waiting ? (
        <Waiting what="Looking" />
      ) : (
        <DataTable
          caption="What needs attention"
          noun="concern"
          rows={shown}
          columns={columns}
          idOf={({ id }) => id}
          sortedBy={{ id: 'by' }}
          empty={bare ? <FirstSteps /> : <AllWell />}
        />
      )}
    </Page>
  )
}

const kindsInOrder: readonly Kind[] = [
  'renewal',
  'host',
  'ending',
  'list',
  'authority',
  'account',
  'cluster',
]

function StateOf({ state }: Concern) {
  return <Status of={state} />
}

/** A host may fail on one cluster and be in conflict on another. */
function distinct<T extends { readonly tenant: string; readonly name: string }>(
  hosts: readonly T[],
): readonly T[] {
  return [...new Map(hosts.map((host) => [`${host.tenant}/${host.name}`, host])).values()]
}

function RemedyOf({ remedy, name }: { readonly remedy: Remedy; readonly name: string }) {
  const mayRenew = useMay('write-certificates')
  const mayCheck = useMay('check-clusters', { platform: true })
  const acting = useAction(carryOut, [['certificates'], ['clusters'], ['hosts']])
  if ('to' in remedy) {
    return (
      <Link href={remedy.to} className="button">
        {remedy.says}
        <span className="unseen"> of {name}</span>
      </Link>
    )
  }
  return (
    <>
      <ActionButton
        refused={remedy.act === 'renew' ? mayRenew : mayCheck}
        busy={acting.isPending}
        onPress={() => acting.mutate(remedy)}
      >
        {remedy.act === 'renew' ? 'Renew now' : 'Check now'}
        <span className="unseen"> {name}</span>
      </ActionButton>
      {acting.error ? <ProblemNote error={acting.error} /> : null}
    </>
  )
}

async function carryOut(remedy: Exclude<Remedy, { to: string }>): Promise<void> {
  if (remedy.act === 'check') {
    const path = { cluster: remedy.cluster }
    await answered(api.POST('/v1/clusters/{cluster}/check', { params: { path } }))
    return
  }
  const { tenant, id } = remedy
  await answered(
    api.POST('/v1/tenants/{tenant}/certificates/{id}/renew', {
      params: { path: { tenant, id } },
      body: {},
    }),
  )
}

function AllWell() {
  return (
    <Empty title="Nothing needs you.">
      <p>
        Every host is served as asked, everything that ends is renewed in time, and every cluster
        answers. <Link href="/expiry">See what ends when</Link>.
      </p>
    </Empty>
  )
}

function FirstSteps() {
  return (
    <Empty title="Nothing is here yet.">
      <p>To have the first host served:</p>
      <ol>
        <li>
          Make a certificate authority: <Link href="/authorities">Authorities</Link> says how.
        </li>
        <li>
          Register a cluster: <Link href="/clusters">Clusters</Link> says how.
        </li>
        <li>
          Then <Link href="/ask">ask for a host</Link>.
        </li>
      </ol>
    </Empty>
  )
}

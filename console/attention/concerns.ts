import type { Schemas } from '@gatesmith/client'
import { nameOf } from '../shared/subject.ts'
import { day, happened } from '../shared/when.ts'

type Certificate = Schemas['Certificate']
type Host = Schemas['Host']
type Cluster = Schemas['Cluster']
type Authority = Schemas['Authority']

/** Of a certificate what is looked at here. */
export type LeafInTrouble = Pick<
  Certificate,
  | 'id'
  | 'tenant'
  | 'host'
  | 'authority'
  | 'profile'
  | 'dnsNames'
  | 'subject'
  | 'notAfter'
  | 'autoRenew'
  | 'renewal'
>

/** Of a host what is looked at here. */
export type HostInTrouble = Pick<Host, 'name' | 'tenant' | 'status'>

/** What was found that may need attention. */
export type Found = {
  readonly failing: readonly LeafInTrouble[]
  readonly unrenewed: readonly LeafInTrouble[]
  readonly hosts: readonly HostInTrouble[]
  readonly clusters: readonly Cluster[]
  readonly authorities: readonly Authority[]
}

/** The kinds of concerns, in the order in which they press. */
export const kinds = {
  renewal: 'Failed renewals',
  host: 'Hosts failed or in conflict',
  ending: 'Ending without renewal',
  list: 'Lists going stale',
  authority: 'Authorities ending',
  account: 'CA accounts failing',
  cluster: 'Clusters not answering',
} as const

/** A kind of concern. */
export type Kind = keyof typeof kinds

/** One thing to do: something that is done at once, or a place to go to. */
export type Remedy =
  | { readonly act: 'renew'; readonly tenant: string; readonly id: string }
  | { readonly act: 'check'; readonly cluster: string }
  | { readonly to: string; readonly says: string }

/** Something that needs attention: what it is about, why, by when, and what to do. */
export type Concern = {
  readonly id: string
  readonly kind: Kind
  readonly state: string
  readonly name: string
  /** Whose, or where. */
  readonly of: string
  readonly to: string
  readonly why: string
  /** When it ends, or goes stale; null: it is broken already. */
  readonly by: string | null
  readonly remedy: Remedy
}

const soon = { list: 2 * day, authority: 90 * day } as const

/** What needs attention, the most pressing first. */
export function concerns(found: Found, now: Date): readonly Concern[] {
  const failing = new Set(found.failing.map(({ id }) => id))
  const all = [
    ...found.failing.map((leaf) => ofLeaf(leaf, 'renewal', now)),
    ...found.hosts.flatMap(ofHost),
    ...found.unrenewed
      .filter(({ id }) => !failing.has(id))
      .map((leaf) => ofLeaf(leaf, 'ending', now)),
    ...found.authorities.flatMap((authority) => ofAuthority(authority, now)),
    ...found.clusters.flatMap(ofCluster),
  ]
  return all.toSorted((a, b) => urgency(a, now) - urgency(b, now))
}

/** What is broken comes before what will be, and that in the order of time. */
function urgency({ by, state }: Concern, now: Date): number {
  if (by !== null) return new Date(by).getTime() - now.getTime()
  return state === 'Unknown' ? -1 : -2
}

function ofLeaf(leaf: LeafInTrouble, kind: 'renewal' | 'ending', now: Date): Concern {
  const { id, tenant, host, renewal, notAfter, profile, authority } = leaf
  const tries = renewal.attempts === 1 ? 'once' : `${renewal.attempts} times`
  const next = renewal.nextAttempt
    ? `; next try ${happened(new Date(renewal.nextAttempt), now)}`
    : ''
  return {
    id: `${kind}/${id}`,
    kind,
    state: kind === 'renewal' ? 'Failed' : 'ending',
    name: nameOf(leaf),
    of: tenant,
    to:
      host === null
        ? `/certificates/${tenant}/${id}`
        : `/hosts/${tenant}/${encodeURIComponent(host)}`,
    why:
      kind === 'renewal'
        ? `Renewal failed ${tries}: ${renewal.lastError ?? 'no reason was kept'}${next}`
        : authority === null
          ? 'An uploaded certificate: nothing renews it, so upload its successor'
          : `A ${profile} certificate of ${authority} that nothing renews by itself`,
    by: notAfter,
    remedy:
      authority === null
        ? { to: `/certificates/${tenant}/${id}`, says: 'See it' }
        : { act: 'renew', tenant, id },
  }
}

function ofHost({ name, tenant, status }: HostInTrouble): readonly Concern[] {
  const to = `/hosts/${tenant}/${encodeURIComponent(name)}`
  return status.clusters
    .filter((placement) => placement.status === 'Failed' || placement.status === 'Conflict')
    .map(({ cluster, ingress, status: state, message }) => ({
      id: `host/${tenant}/${name}/${cluster}/${ingress}`,
      kind: 'host',
      state,
      name,
      of: `${tenant} on ${cluster}`,
      to,
      why: message ?? 'No reason was told',
      by: null,
      remedy:
        state === 'Conflict'
          ? { to: `${to}#plan`, says: 'See what is in the way' }
          : { to, says: 'See where it stands' },
    }))
}

function ofAuthority(authority: Authority, now: Date): readonly Concern[] {
  const { name, displayName, tenant, lists, notAfter, retiredAt, kind, acme } = authority
  const within = (at: string, milliseconds: number) =>
    new Date(at).getTime() - now.getTime() <= milliseconds
  const common = { name: displayName, of: tenant ?? 'every tenant', to: `/authorities/${name}` }
  const remedy = { to: `/authorities/${name}`, says: 'See its lists' }
  const stale =
    lists && retiredAt === null && within(lists.staleAt, soon.list)
      ? [
          {
            id: `list/${name}`,
            kind: 'list' as const,
            state: 'going stale',
            ...common,
            why: `The oldest of ${lists.count} revocation lists was published ${happened(new Date(lists.publishedAt), now)}, and no newer one since`,
            by: lists.staleAt,
            remedy,
          },
        ]
      : []
  const ending =
    retiredAt === null && notAfter !== null && within(notAfter, soon.authority)
      ? [
          {
            id: `authority/${name}`,
            kind: 'authority' as const,
            state: 'ending',
            ...common,
            why: `The ${kind} ends, and no certificate that it signed is good for longer`,
            by: notAfter,
            remedy: { to: `/authorities/${name}#rotation`, says: 'Change its key' },
          },
        ]
      : []
  const account =
    retiredAt === null && acme && acme.message !== null
      ? [
          {
            id: `account/${name}`,
            kind: 'account' as const,
            state: 'Failed',
            ...common,
            why: `${acme.message}${acme.nextAttempt === null ? '' : `; next try ${happened(new Date(acme.nextAttempt), now)}`}`,
            by: null,
            remedy: { to: `/authorities/${name}`, says: 'See its account' },
          },
        ]
      : []
  return [...stale, ...ending, ...account]
}

function ofCluster(cluster: Cluster): readonly Concern[] {
  const { name, status, message, server, checkedAt } = cluster
  if (status === 'Ready') return []
  return [
    {
      id: `cluster/${name}`,
      kind: 'cluster',
      state: status,
      name,
      of: server ?? 'cluster',
      to: `/clusters/${name}`,
      why: message ?? (checkedAt === null ? 'It was not looked at yet' : 'It does not answer'),
      by: null,
      remedy: { act: 'check', cluster: name },
    },
  ]
}

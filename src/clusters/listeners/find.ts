import { type Actor, allow } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import { cursorOf, pageOf, readCursor, SequenceKey } from '../../shared/cursor.ts'
import type { List } from '../../shared/lists/query.ts'
import { shown, timestampOrNull } from '../../shared/view.ts'
import { allIngressesOf, type ClusterRow, clusterRow } from '../find.ts'
import { openCluster } from '../kubernetes/open.ts'
import { silenceOf } from '../silence.ts'
import { type PodAnswer, type PodTable, tablesOf } from './pods.ts'
import { type ListenerQuery, ListenerRow } from './row.ts'
import type { Chain, Trouble } from './table.ts'

/** The row, and the id of the tenant whose host it is. */
type Found = { readonly row: ListenerRow; readonly tenantId: string | null }

/** The listener table of a cluster's ingresses, read from the Envoy of every gateway pod: by ingress and
 *  pod, what is wrong first, then what `istioctl proxy-config listener` shows, in its order. It is read
 *  anew for who asks some seconds later, so that pages asked for one after the other are of one reading. The
 *  API key of a tenant sees the chains of its own hosts, and which pods could not be asked. Throws
 *  cluster-unknown, cursor-refused. */
export async function findListeners(
  ctx: Context,
  actor: Actor,
  { name, query }: { readonly name: string; readonly query: ListenerQuery },
): Promise<List<ListenerRow>> {
  allow(actor, 'read')
  const { limit = 50, cursor, cursors = false, count = false, ...filter } = query
  const from = cursor === undefined ? 0 : Number(readCursor(cursor, SequenceKey)[0])
  const row = await clusterRow(ctx.db.read, name)
  const found = (await shared(ctx, row)).flatMap((each) => visible(each, actor))
  const matching = found
    .filter((each) => matches(each, filter))
    .map((each, index) => ({ each, index }))
  const key = ({ index }: { readonly index: number }) => [String(index + 1)]
  const rows = matching.slice(from, from + limit + 1)
  return {
    ...pageOf(rows, limit, { key, item: ({ each }) => each }),
    ...(cursors ? { cursors: rows.slice(0, limit).map((row) => cursorOf(key(row))) } : {}),
    ...(count ? { total: { value: matching.length, exact: true } } : {}),
  }
}

function visible({ row, tenantId }: Found, { tenantId: own }: Actor): readonly ListenerRow[] {
  if (own === null || own === tenantId) return [row]
  // What the cluster says may name hosts of others.
  return row.state === 'unread' ? [{ ...row, reason: 'The pod could not be asked' }] : []
}

function matches(
  row: ListenerRow,
  { host, ...filter }: Omit<ListenerQuery, 'limit' | 'cursor' | 'cursors' | 'count'>,
): boolean {
  const { ingress, pod, port, state } = row
  const facts: Readonly<Record<string, unknown>> = { ingress, pod, port, state }
  if (host !== undefined && row.host !== host.toLowerCase()) return false
  return Object.entries(filter).every(([key, value]) => facts[key] === value)
}

/** How long a reading is given to whoever asks, and of how many clusters one is kept. */
const shareLimits = { milliseconds: 3000, clusters: 16 } as const

const readings = oncePer(() => new Map<string, Promise<readonly Found[]>>())

/** One reading for all who ask at about the same time. */
function shared(ctx: Context, row: ClusterRow): Promise<readonly Found[]> {
  const kept = readings(ctx)
  const key = `${row.id} ${row.updatedAt.getTime()}`
  const known = kept.get(key)
  if (known) return known
  const reading = readCluster(ctx, row)
  const [oldest] = kept.keys()
  if (kept.size >= shareLimits.clusters && oldest !== undefined) kept.delete(oldest)
  kept.set(key, reading)
  const forget = () => {
    if (kept.get(key) === reading) kept.delete(key)
  }
  reading.then(() => setTimeout(forget, shareLimits.milliseconds).unref(), forget)
  return reading
}

async function readCluster(ctx: Context, row: ClusterRow): Promise<readonly Found[]> {
  const silence = silenceOf(row)
  const kube = await openCluster(ctx, row.id)
  const read = await Promise.all(
    Object.entries(allIngressesOf(row)).map(async ([ingress, where]) => {
      const isAway = silence !== null && where.adminAddress === undefined
      const tables = isAway ? [{ pod: null, unread: silence }] : await tablesOf(kube, where)
      return { ingress, tables }
    }),
  )
  const hosts = await hostsOf(
    ctx,
    row.id,
    read.flatMap(({ tables }) => tables),
  )
  return read.flatMap(({ ingress, tables }) =>
    tables.flatMap((each) => rowsOf(each, { ingress, hosts })),
  )
}

type Owner = { readonly host: string; readonly tenant: string; readonly tenantId: string }

/** The hosts of the cluster by `ingress name`, of the names that the tables have. */
async function hostsOf(
  ctx: Context,
  clusterId: string,
  tables: readonly PodAnswer<PodTable>[],
): Promise<ReadonlyMap<string, Owner>> {
  const chains = tables.flatMap((each) => ('told' in each ? each.told.chains : []))
  const names = [...new Set(chains.flatMap(({ serverNames }) => serverNames))]
  const owners = new Map<string, Owner>()
  for (let from = 0; from < names.length; from += 5000) {
    const placements = await ctx.db.read.placement.findMany({
      where: { clusterId, name: { in: names.slice(from, from + 5000) } },
      select: {
        ingress: true,
        name: true,
        tenantId: true,
        host: { select: { tenant: { select: { name: true } } } },
      },
    })
    for (const { ingress, name, tenantId, host } of placements) {
      owners.set(`${ingress} ${name}`, { host: name, tenant: host.tenant.name, tenantId })
    }
  }
  return owners
}

type Place = { readonly ingress: string; readonly hosts: ReadonlyMap<string, Owner> }

const nothing = {
  ...{ listener: null, addresses: null, port: null, match: null, destination: null },
  ...{ tls: null, gateway: null, tenant: null, host: null, reason: null, since: null },
} as const

function rowsOf(table: PodAnswer<PodTable>, place: Place): readonly Found[] {
  const { ingress } = place
  const { pod } = table
  if ('unread' in table) {
    const row = { ...nothing, ingress, pod, state: 'unread', reason: table.unread } as const
    return [{ row, tenantId: null }]
  }
  return [
    ...table.told.troubles.map((each) => troubleRow(each, { ingress, pod })),
    ...table.told.chains.map((each) => chainRow(each, { ...place, pod })),
  ]
}

function troubleRow(
  { since, ...trouble }: Trouble,
  place: { readonly ingress: string; readonly pod: string | null },
): Found {
  const at = since === null ? null : new Date(since)
  const row = shown(ListenerRow, { ...nothing, ...place, ...trouble, since: timestampOrNull(at) })
  return { row, tenantId: null }
}

function chainRow(chain: Chain, { ingress, hosts, pod }: Place & { pod: string | null }): Found {
  const { serverNames, routeName, ...facts } = chain
  const owners = serverNames.flatMap((name) => hosts.get(`${ingress} ${name}`) ?? [])
  const { host = null, tenant = null, tenantId = null } = owners[0] ?? {}
  const gateway = gatewayOf(routeName)
  const row: ListenerRow = {
    ...nothing,
    ...{ ingress, pod, state: 'active', ...facts, gateway, host, tenant },
  }
  return { row, tenantId }
}

/** istiod names the routes of a TLS server https.<port>.<port name>.<Gateway>.<namespace>. */
export function gatewayOf(routeName: string | null): string | null {
  const [, name, namespace] = /^https\.\d+\.[^.]+\.([^.]+)\.([^.]+)$/.exec(routeName ?? '') ?? []
  return name === undefined || namespace === undefined ? null : `${namespace}/${name}`
}

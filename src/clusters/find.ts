import Type from 'typebox'
import { type Actor, allow } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { type Sql, sql, type Tx } from '../core/database/db.ts'
import { byName, listRows, when } from '../core/database/lists.ts'
import { rowsOf } from '../core/database/rows.ts'
import { type Cursored, type List, listQuery, NameSort } from '../shared/lists/query.ts'
import { Problem } from '../shared/problem.ts'
import { conforms, mustConform } from '../shared/shape.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../shared/view.ts'
import { Checks, ClusterFound } from './checks/schema.ts'
import {
  Cluster,
  type ClusterApi,
  type Drift,
  defaultIngress,
  Ingress,
  Ingresses,
  type NamedIngress,
  Watched,
} from './cluster.ts'
import type { AllIngresses } from './ingresses.ts'

export type ClusterRow = NonNullable<Awaited<ReturnType<Tx['cluster']['findUnique']>>>

/** One cluster. Throws cluster-unknown. */
export async function getCluster(ctx: Context, actor: Actor, name: string): Promise<Cluster> {
  allow(actor, 'read')
  return clusterView(await clusterRow(ctx.db.read, name), actor)
}

/** Which clusters are listed; all that is named must hold. */
export const ClusterQuery = listQuery(NameSort, {
  status: Type.Optional(Type.Enum(Cluster.properties.status.enum, { title: 'ClusterStatus' })),
})
export type ClusterQuery = Cursored<Type.Static<typeof ClusterQuery>>

/** How clusters are listed. */
export const clusterListing = byName(rowsOf('Cluster', {}))

/** What holds for the clusters that are asked for. */
export function clusterConditions({ status }: ClusterQuery): readonly Sql[] {
  return when(status, (one) => sql`cluster."status" = ${one}`)
}

/** The clusters, by name unless asked otherwise. Tenants read them too, since their hosts name them; only
 *  where the Kubernetes API is stays with the platform. Throws cursor-refused. */
export async function listClusters(
  ctx: Context,
  actor: Actor,
  query: ClusterQuery,
): Promise<List<Cluster>> {
  allow(actor, 'read')
  const asked = { conditions: clusterConditions(query), query }
  const page = await listRows(ctx.db, clusterListing, asked)
  return { ...page, items: page.items.map((row) => clusterView(row, actor)) }
}

/** Clusters as this actor is shown them, with what joins them to other rows. */
export async function joinedClusters(
  _: Context,
  rows: readonly ClusterRow[],
  actor: Actor,
): Promise<(Cluster & { readonly id: string })[]> {
  return rows.map((row) => ({ id: row.id, ...clusterView(row, actor) }))
}

/** The row of this name. Throws cluster-unknown. */
export async function clusterRow(tx: Tx, name: string): Promise<ClusterRow> {
  const row = await tx.cluster.findUnique({ where: { name } })
  if (!row) throw new Problem('cluster-unknown', `There is no cluster "${name}"`)
  return row
}

/** These clusters, as they stay until the transaction ends. */
export async function holdClusters(tx: Tx, ids: readonly string[]): Promise<readonly ClusterRow[]> {
  const where = { id: { in: [...ids] } }
  await tx.$executeRaw(sql`select 1 from cluster where id = any(${where.id.in}::uuid[]) for share`)
  return tx.cluster.findMany({ where })
}

/** Where hosts come in that name this ingress of the cluster. Throws host-refused when it has no such one. */
export function ingressOf(row: ClusterRow, name: string): NamedIngress {
  const service = apiOf(row) === 'gateway-api' ? serviceOf(row, name) : undefined
  const bound = service === undefined ? {} : { service }
  return { ...registeredIngress(row, name), ...bound }
}

/** The first Service by name that leads to the pods of an ingress by port 443, as the last check found it. */
function serviceOf({ found }: ClusterRow, ingress: string): string | undefined {
  if (!conforms(ClusterFound, found)) return undefined
  const workload = found.ingresses.find(({ name }) => name === ingress)
  const names = (workload?.services ?? [])
    .filter(({ ports }) => ports.some(({ port }) => port === 443))
    .map(({ name }) => name)
  return names.toSorted()[0]
}

function registeredIngress(row: ClusterRow, name: string): NamedIngress {
  if (name === defaultIngress) {
    const stored = {
      namespace: row.ingressNamespace,
      selector: row.ingressSelector,
      address: row.ingressAddress,
      ...furtherAddressesOf(row),
    }
    return mustConform(Ingress, stored, `the ingress of cluster ${row.id} reads oddly`)
  }
  const found = new Map(Object.entries(ingressesOf(row))).get(name)
  if (!found) throw new Problem('host-refused', `Cluster "${row.name}" has no ingress "${name}"`)
  return { name, ...found }
}

function furtherAddressesOf({
  ingressPlainAddress: plainAddress,
  ingressAdminAddress: adminAddress,
}: Pick<ClusterRow, 'ingressPlainAddress' | 'ingressAdminAddress'>) {
  return {
    ...(plainAddress === null ? {} : { plainAddress }),
    ...(adminAddress === null ? {} : { adminAddress }),
  }
}

/** Its further ingresses, in the order of their names. */
export function ingressesOf({ ingresses }: Pick<ClusterRow, 'ingresses'>): Ingresses {
  const found = Object.entries(
    mustConform(Ingresses, ingresses, 'the ingresses of a cluster read oddly'),
  )
  return Object.fromEntries(found.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** All of its ingresses by name, the default one first. */
export function allIngressesOf(row: ClusterRow): AllIngresses & DefaultIngress {
  return { [defaultIngress]: ingressOf(row, defaultIngress), ...ingressesOf(row) }
}

type DefaultIngress = { readonly [defaultIngress]: Ingress }

/** What is done where others change what was put on the cluster. */
export function driftPolicy({ drift }: Pick<ClusterRow, 'drift'>): Drift {
  return drift === 'report' ? 'report' : 'repair'
}

/** In whose words hosts are written on the cluster. */
export function apiOf({ api }: Pick<ClusterRow, 'api'>): ClusterApi {
  return api === 'gateway-api' ? 'gateway-api' : 'istio'
}

/** The row as this actor is shown it. */
export function clusterView(row: ClusterRow, actor: Actor): Cluster {
  const platform = actor.tenantId === null
  const others = Object.entries(shownJson(Ingresses, row.ingresses))
  return shown(Cluster, {
    name: row.name,
    server: platform ? row.server : null,
    ingress: {
      namespace: row.ingressNamespace,
      selector: shownJson(Ingress.properties.selector, row.ingressSelector),
      address: row.ingressAddress,
      ...furtherAddressesOf(platform ? row : { ...row, ingressAdminAddress: null }),
    },
    ingresses: Object.fromEntries(
      others.map(([name, { adminAddress, ...ingress }]) => [
        name,
        platform && adminAddress !== undefined ? { ...ingress, adminAddress } : ingress,
      ]),
    ),
    api: apiOf(row),
    drift: driftPolicy(row),
    watch: platform && conforms(Watched, row.watch) ? row.watch : null,
    status: row.status,
    message: platform || row.silentSince !== null ? row.message : messageToTenants(row),
    kubernetesVersion: row.kubernetes,
    checks: platform ? shownJson(Checks, row.checks) : [],
    found: platform && row.found !== null ? shownJson(ClusterFound, row.found) : null,
    checkedAt: timestampOrNull(row.checkedAt),
    createdAt: timestamp(row.createdAt),
    updatedAt: timestamp(row.updatedAt),
  })
}

/** What is wrong may name the namespaces and hosts of other tenants. */
function messageToTenants({ message }: ClusterRow): string | null {
  return message === null ? null : 'The cluster cannot be used as it is: ask whoever runs it'
}

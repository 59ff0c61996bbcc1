import Type from 'typebox'
import Value from 'typebox/value'
import { type Actor, allow, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { listRows } from '../core/database/lists.ts'
import { readRows, rowsOwnedBy } from '../core/database/rows.ts'
import { marksOf } from '../shared/lists/labels.ts'
import type { List } from '../shared/lists/query.ts'
import { must } from '../shared/must.ts'
import { Problem } from '../shared/problem.ts'
import { conforms } from '../shared/shape.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../shared/view.ts'
import { accessTenant } from '../tenants/access.ts'
import { CompleteSpec, Condition, DriftView, Host, PlacementView } from './host.ts'
import { type Surroundings, surroundingsOf } from './neighbours/surroundings.ts'
import { warnings } from './neighbours/warnings.ts'
import { shownObjects } from './objects.ts'
import { parseHostname } from './request/hostname.ts'
import { type HostQuery, hostConditions, hostListing, type ListedHost } from './request/query.ts'

const byPlace: ({ cluster: { name: 'asc' } } | { ingress: 'asc' })[] = [
  { cluster: { name: 'asc' } },
  { ingress: 'asc' },
]

const withRelations = {
  tenant: { select: { name: true } },
  certificate: {
    select: {
      id: true,
      serial: true,
      notBefore: true,
      notAfter: true,
      fingerprintSha256: true,
    },
  },
  placements: {
    include: { cluster: { select: { name: true } } },
    orderBy: byPlace,
  },
} as const

/** A host with what is shown of its relations. */
export type HostRow = NonNullable<Awaited<ReturnType<typeof findHost>>>

/** The row of this name in its one spelling. */
export function findHost(tx: Tx, tenantId: string, name: string) {
  return tx.host.findUnique({
    where: { tenantId_name: { tenantId, name } },
    include: withRelations,
  })
}

/** The row of this name, in any spelling. Throws host-unknown. */
export async function hostRow(
  tx: Tx,
  { tenantId, name }: { tenantId: string; name: string },
): Promise<HostRow> {
  const parsed = parseHostname(name)
  const row = 'name' in parsed ? await findHost(tx, tenantId, parsed.name) : null
  if (!row) throw new Problem('host-unknown', `There is no host "${name}"`)
  return row
}

/** One host: what was asked for, and how it stands. Throws tenant-unknown, host-unknown. */
export async function getHost(
  ctx: Context,
  actor: Actor,
  { tenant, name }: { tenant: string; name: string },
): Promise<Host> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  return viewHost(ctx.db.read, await hostRow(ctx.db.read, { tenantId: id, name }))
}

/** The tenant's hosts, by name unless asked otherwise. Throws tenant-unknown, cursor-refused,
 *  request-invalid. */
export async function listHosts(
  ctx: Context,
  actor: Actor,
  { tenant, ...query }: HostQuery & { readonly tenant: string },
): Promise<List<Host>> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  return listWhere(ctx, id, query)
}

/** Hosts of every tenant, for platform-wide roles. Throws forbidden, cursor-refused, request-invalid. */
export async function listAllHosts(
  ctx: Context,
  actor: Actor,
  query: HostQuery,
): Promise<List<Host>> {
  allowPlatform(actor, 'read')
  return listWhere(ctx, null, query)
}

async function listWhere(
  ctx: Context,
  tenantId: string | null,
  query: HostQuery,
): Promise<List<Host>> {
  const asked = { conditions: hostConditions(tenantId, query), query }
  const page = await listRows(ctx.db, hostListing, asked)
  return { ...page, items: await listedViews(ctx.db.read, page.items) }
}

/** These as they are shown, in as many statements for many as for one. */
async function listedViews(tx: Tx, hosts: readonly ListedHost[]): Promise<Host[]> {
  const placements = await tx.placement.findMany({
    where: { hostId: { in: hosts.map(({ id }) => id) } },
    ...withRelations.placements,
  })
  const certificates = await tx.certificate.findMany({
    where: { id: { in: hosts.flatMap(({ certificateId }) => certificateId ?? []) } },
    ...withRelations.certificate,
  })
  const around = await surroundingsOf(tx, hosts)
  const placed = Map.groupBy(placements, ({ hostId }) => hostId)
  const certified = new Map(certificates.map((each) => [each.id, each]))
  return hosts.map((host) =>
    hostView(
      {
        ...host,
        certificate: certified.get(host.certificateId ?? '') ?? null,
        placements: placed.get(host.id) ?? [],
      },
      around,
    ),
  )
}

/** The same with what joins them to the rows around them. */
export async function joinedHosts(
  { db: { read } }: Context,
  hosts: readonly ListedHost[],
): Promise<(Host & HostKeys)[]> {
  const views = await listedViews(read, hosts)
  return hosts.map((host, at) => ({
    ...keysOf(host),
    ...must(views[at], 'each host is shown'),
  }))
}

/** What joins a host to the rows around it; not part of what REST shows. */
export type HostKeys = {
  readonly id: string
  readonly tenantId: string
  readonly certificateId: string | null
}

/** The hosts of these ids that the actor may see, in no order. */
export async function hostsByIds(
  ctx: Context,
  actor: Actor,
  ids: readonly string[],
): Promise<readonly (Host & HostKeys)[]> {
  allow(actor, 'read')
  const rows = await readRows(ctx.db, hostListing.rows, [
    sql`host."id" = any(${[...ids]}::uuid[])`,
    ...rowsOwnedBy(actor, sql`host."tenantId"`),
  ])
  return joinedHosts(ctx, rows)
}

/** How these hosts stand on their clusters, for all of them at once, by cluster and ingress name. */
export async function placementsByHostIds(
  ctx: Context,
  actor: Actor,
  hostIds: readonly string[],
): Promise<readonly (PlacementView & { readonly hostId: string; readonly clusterId: string })[]> {
  allow(actor, 'read')
  const rows = await ctx.db.read.placement.findMany({
    where: { hostId: { in: [...hostIds] }, ...ownedBy(actor) },
    include: withRelations.placements.include,
    orderBy: byPlace,
  })
  return rows.map((row) => ({
    hostId: row.hostId,
    clusterId: row.clusterId,
    ...placementView(row),
  }))
}

function ownedBy({ tenantId }: Actor) {
  return tenantId === null ? {} : { tenantId }
}

function keysOf({ id, tenantId, certificateId }: HostKeys): HostKeys {
  return { id, tenantId, certificateId }
}

/** By what is stored: that takes a millisecond to clean and check, and is asked for again and again while a host
 *  is brought to its clusters. */
const known = new Map<string, CompleteSpec>()
const mostKnown = 500

/** What was asked for, as it is acted on: members that only another release knows are left out. Throws
 *  host-refused for words that this one does not know. */
export function specOf(row: { readonly spec: unknown }): CompleteSpec {
  const text = JSON.stringify(row.spec)
  const before = known.get(text)
  if (before) return before
  const spec = Value.Clean(CompleteSpec, structuredClone(row.spec))
  if (conforms(CompleteSpec, spec) && hasSource(spec)) {
    if (known.size >= mostKnown) known.clear()
    known.set(text, spec)
    return spec
  }
  throw new Problem(
    'host-refused',
    'Another release stored what is asked for, in words that this one does not know: ask for it anew (PUT)',
  )
}

/** Whether it says where its certificate comes from. */
function hasSource({ certificate: { uploaded, authority } }: CompleteSpec): boolean {
  return uploaded !== undefined || authority !== undefined
}

/** The row as it is shown. */
export async function viewHost(tx: Tx, row: HostRow): Promise<Host> {
  return hostView(row, await surroundingsOf(tx, [row]))
}

function hostView(row: HostRow, around: ReadonlyMap<string, Surroundings>): Host {
  const { certificate } = row
  const spec = shownJson(CompleteSpec, row.spec)
  const surroundings = must(around.get(row.id), 'a host is shown without its surroundings')
  return shown(Host, {
    name: row.name,
    tenant: row.tenant.name,
    ...spec,
    ...marksOf(row),
    generation: row.generation,
    createdAt: timestamp(row.createdAt),
    updatedAt: timestamp(row.updatedAt),
    removedAt: timestampOrNull(row.removedAt),
    status: {
      certificate: certificate && {
        id: certificate.id,
        serial: certificate.serial,
        notBefore: timestamp(certificate.notBefore),
        notAfter: timestamp(certificate.notAfter),
        fingerprintSha256: certificate.fingerprintSha256,
      },
      clients: clientsView(row.tenant.name, surroundings),
      warnings: warnings({ name: row.name, ...spec }, surroundings),
      clusters: row.placements.map(placementView),
    },
  })
}

function clientsView(tenant: string, { letIn }: Surroundings): Host['status']['clients'] {
  if (!letIn) return null
  const { authority, onlyOwn, subjectAltName } = letIn
  return { authority, tenant: onlyOwn ? tenant : null, subjectAltName }
}

function placementView(row: {
  cluster: { name: string }
  ingress: string
  status: string
  since: Date
  message: string | null
  warnings: string[]
  proofWarnings: string[]
  provedAt: Date | null
  conditions: unknown
  objects: unknown
  drift: unknown
}): PlacementView {
  return shown(PlacementView, {
    cluster: row.cluster.name,
    ingress: row.ingress,
    status: row.status,
    since: timestamp(row.since),
    message: row.message,
    warnings: [...new Set([...row.warnings, ...row.proofWarnings])],
    conditions: shownJson(Type.Array(Condition), row.conditions),
    provedAt: timestampOrNull(row.provedAt),
    objects: shownObjects(row.objects),
    drift: shownJson(Type.Array(DriftView), row.drift),
  })
}

import { isDeepStrictEqual } from 'node:util'
import Type from 'typebox'
import { placeOf, placeText } from '../clusters/cluster.ts'
import { ingressOf } from '../clusters/find.ts'
import { KubeError } from '../clusters/kubernetes/kube.ts'
import { openCluster } from '../clusters/kubernetes/open.ts'
import type { Actor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { hostRow, specOf } from '../hosts/find.ts'
import { CompleteSpec, HostSpec, ObjectRef } from '../hosts/host.ts'
import { conflictsOn } from '../hosts/neighbours/conflictson.ts'
import { objectRef, recordedRefs } from '../hosts/objects.ts'
import { checkHost } from '../hosts/request/check.ts'
import { closed, Name } from '../shared/schema.ts'
import { shownJson } from '../shared/view.ts'
import { accessTenant, type TenantRow } from '../tenants/access.ts'
import { compare } from './compare.ts'
import {
  type CertificateRow,
  clientsOf,
  type PlacementRow,
  pemOf,
  readPlacements,
} from './gather.ts'
import type { Delivery } from './renderer.ts'

/** Leave `spec` out to see what is still to be done for the host as it stands. */
export const PlanRequest = closed({ spec: Type.Optional(HostSpec) })
export type PlanRequest = Type.Static<typeof PlanRequest>

export const HostPlan = closed(
  {
    host: Type.String(),
    clusters: Type.Array(
      closed({
        cluster: Name,
        ingress: Name,
        changes: Type.Array(
          closed({
            action: Type.Enum(['create', 'update', 'keep', 'remove']),
            ...ObjectRef.properties,
          }),
        ),
        conflicts: Type.Array(Type.String({ description: 'Why nothing would be pushed' })),
        error: Type.Union([Type.String(), Type.Null()], {
          description: 'Why the cluster could not be asked',
        }),
      }),
    ),
  },
  { title: 'HostPlan' },
)
export type HostPlan = Type.Static<typeof HostPlan>

/** What of a host a plan is made for. */
type Subject = {
  readonly tenant: TenantRow
  readonly name: string
  readonly spec: CompleteSpec
  readonly generation: number
  readonly id: string
  readonly certificate: CertificateRow | null
  readonly placements: readonly PlacementRow[]
}

/** The id of a host that is not stored yet; no object bears it. */
const unborn = '00000000-0000-0000-0000-000000000000'

/** What a push would change on each cluster and what it would collide with, with nothing pushed or
 *  stored. Throws tenant-unknown, host-unknown, host-refused. */
export async function planHost(
  ctx: Context,
  actor: Actor,
  { tenant, name, asked: request }: { tenant: string; name: string; asked: PlanRequest },
): Promise<HostPlan> {
  const subject = request.spec
    ? await asRequested(ctx, actor, { tenant, name, spec: request.spec })
    : await asStored(ctx, actor, { tenant, name })
  const asked = subject.spec.clusters.map(placeOf)
  const names = asked.map(({ cluster }) => cluster)
  const clusters = await ctx.db.read.cluster.findMany({
    where: { OR: [{ name: { in: names } }, { id: { in: clusterIds(subject) } }] },
    orderBy: { name: 'asc' },
  })
  const placed = subject.placements.map(({ cluster, ingress }) => ({
    cluster: cluster.name,
    ingress,
  }))
  const texts = new Set([...asked, ...placed].map(placeText))
  const places = clusters.flatMap((cluster) =>
    [...texts]
      .map(placeOf)
      .filter((place) => place.cluster === cluster.name)
      .map(({ ingress }) => ({ cluster, ingress })),
  )
  return {
    host: subject.name,
    clusters: await Promise.all(places.map((place) => onIngress(ctx, actor, subject, place))),
  }
}

async function asRequested(
  ctx: Context,
  actor: Actor,
  asked: { tenant: string; name: string; spec: HostSpec },
): Promise<Subject> {
  const { tenant, name, spec } = await checkHost(ctx, actor, { asked, permission: 'read' })
  const row = await ctx.db.read.host.findUnique({
    where: { tenantId_name: { tenantId: tenant.id, name } },
  })
  const placements = row ? await readPlacements(ctx.db.read, row.id) : []
  return {
    tenant,
    name,
    spec,
    generation: (row?.generation ?? 0) + (row && isSame(row.spec, spec) ? 0 : 1),
    id: row?.id ?? unborn,
    certificate: placements[0]?.host.certificate ?? null,
    placements,
  }
}

function isSame(stored: unknown, spec: CompleteSpec): boolean {
  return isDeepStrictEqual(shownJson(CompleteSpec, stored), spec)
}

async function asStored(
  ctx: Context,
  actor: Actor,
  { tenant: of, name }: { tenant: string; name: string },
): Promise<Subject> {
  const tenant = await accessTenant(ctx, actor, { name: of, permission: 'read' })
  const row = await hostRow(ctx.db.read, { tenantId: tenant.id, name })
  const placements = await readPlacements(ctx.db.read, row.id)
  const wanted = placements.filter((placement) => placement.wanted)
  const spec = { ...specOf(row), clusters: wanted.map(textOf) }
  const certificate = placements[0]?.host.certificate ?? null
  const { id, generation } = row
  return { tenant, name: row.name, spec, generation, id, certificate, placements }
}

function textOf({ cluster, ingress }: PlacementRow): string {
  return placeText({ cluster: cluster.name, ingress })
}

function clusterIds({ placements }: Subject): string[] {
  return placements.map(({ clusterId }) => clusterId)
}

type IngressPlace = Pick<PlacementRow, 'cluster' | 'ingress'>

async function onIngress(
  ctx: Context,
  actor: Actor,
  subject: Subject,
  { cluster, ingress }: IngressPlace,
): Promise<HostPlan['clusters'][number]> {
  const text = placeText({ cluster: cluster.name, ingress })
  const wanted = subject.spec.clusters.includes(text)
  const placement = subject.placements.find((each) => textOf(each) === text)
  const { tenant, name, spec } = subject
  const conflicting = wanted
    ? await conflictsOn(ctx.db.read, actor, {
        tenant,
        name,
        spec,
        clusters: [{ id: cluster.id, name: cluster.name, ingress }],
      })
    : []
  const messages = conflicting.map(({ message }) => message)
  const place = { cluster: cluster.name, ingress }
  try {
    const { steps, conflicts } = await compare(await openCluster(ctx, cluster.id), {
      delivery: await deliveryFor(ctx, subject, { cluster, ingress }),
      recorded: placement ? recordedRefs(placement.objects) : [],
      wanted,
    })
    const changes = steps.map(({ action, ref }) => ({ action, ...objectRef(ref) }))
    return { ...place, changes, conflicts: [...messages, ...conflicts], error: null }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    return { ...place, changes: [], conflicts: messages, error: error.message }
  }
}

async function deliveryFor(
  ctx: Context,
  { tenant, id, name, generation, spec, certificate }: Subject,
  { cluster, ingress }: IngressPlace,
): Promise<Delivery> {
  const clients = await clientsOf(ctx, spec, tenant.id)
  return {
    host: { id, name, tenant: tenant.name, generation, spec },
    ingress: ingressOf(cluster, ingress),
    certificate: certificate?.der ? await pemOf(ctx, certificate) : unissued,
    ...(clients ? { clients } : {}),
  }
}

/** Stands for a certificate that is still to be issued. */
const unissued = { serial: '', chain: '', key: '' } as const

import { isDeepStrictEqual } from 'node:util'
import Type from 'typebox'
import { servedChallenges } from '../../certificates/elsewhere/challenges.ts'
import { onRemovalOf } from '../../certificates/hosts/remove.ts'
import { placeOf, placeText } from '../../clusters/cluster.ts'
import { ingressOf } from '../../clusters/find.ts'
import { type Kube, KubeError, type KubeObject } from '../../clusters/kubernetes/kube.ts'
import { openCluster } from '../../clusters/kubernetes/open.ts'
import { silenceOf } from '../../clusters/silence.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { newestInLine } from '../../hosts/certificates/line.ts'
import { hostRow, specOf } from '../../hosts/find.ts'
import { CompleteSpec, HostSpec, ObjectRef } from '../../hosts/host.ts'
import { conflictsOn } from '../../hosts/neighbours/conflictson.ts'
import { objectRef, recordedRefs } from '../../hosts/objects.ts'
import { checkHost } from '../../hosts/request/check.ts'
import { Problem } from '../../shared/problem.ts'
import { closed, Name } from '../../shared/schema.ts'
import { shownJson } from '../../shared/view.ts'
import { accessTenant, policyOf, type TenantRow } from '../../tenants/access.ts'
import { OnRemoval } from '../../tenants/tenant.ts'
import { compare, rendererOf } from '../compare.ts'
import { fewAtOnce, inLanes } from '../few.ts'
import { type CertificateRow, clientsOf, type PlacementRow, readPlacements } from '../gather.ts'
import { missingBackends } from '../observe.ts'
import { backendClientsOf } from '../pairs/backendclients.ts'
import { pemOf } from '../pairs/pem.ts'
import { isOurs, type Step } from '../plan.ts'
import type { DesiredHost } from '../renderer.ts'
import { changesOf, FieldChange, SecretChange, secretChangeOf } from './changes.ts'

/** Leave `spec` out to see what is still to be done for the host as it stands. */
export const PlanRequest = closed(
  { spec: Type.Optional(HostSpec) },
  { title: 'PlanRequest', examples: [{}] },
)
export type PlanRequest = Type.Static<typeof PlanRequest>

const HeldField = closed(
  {
    manager: Type.String({ description: 'Field manager (server-side apply)' }),
    field: Type.String({ description: 'As the API server writes it: .spec.servers' }),
  },
  { title: 'HeldField' },
)

const PlannedChange = closed(
  {
    action: Type.Enum(['create', 'update', 'keep', 'remove'], { title: 'PlannedAction' }),
    ...ObjectRef.properties,
    fields: Type.Array(FieldChange, { description: 'Of a Secret: all but its data' }),
    moreFields: Type.Integer({ description: 'How many more fields would change than are told' }),
    secret: Type.Union([SecretChange, Type.Null()]),
    warnings: Type.Array(Type.String(), { description: 'What admission would warn of' }),
    refused: Type.Union([Type.String(), Type.Null()], {
      description: 'Why the cluster would refuse this, in its own words',
    }),
    heldByOthers: Type.Array(HeldField, {
      description:
        'Fields that other field managers own with another value; they are taken back, unless the cluster is registered with drift: report',
    }),
  },
  { title: 'PlannedChange' },
)
type PlannedChange = Type.Static<typeof PlannedChange>

export const HostPlan = closed(
  {
    host: Type.String(),
    onRemoval: OnRemoval,
    clusters: Type.Array(
      closed(
        {
          cluster: Name,
          ingress: Name,
          changes: Type.Array(PlannedChange),
          conflicts: Type.Array(Type.String({ description: 'Why nothing would be pushed' })),
          warnings: Type.Array(
            Type.String({ description: 'What would be pushed all the same, and may surprise' }),
          ),
          error: Type.Union([Type.String(), Type.Null()], {
            description: 'Why the cluster could not be asked',
          }),
        },
        { title: 'ClusterPlan' },
      ),
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

/** What a push would change on each cluster, what the cluster would say to it and what it would collide with,
 *  with nothing pushed or stored. Throws tenant-unknown, host-unknown, host-refused, busy. */
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
  return fewAtOnce(ctx, subject.tenant.id, async () => ({
    host: subject.name,
    onRemoval: onRemovalOf(subject.spec, policyOf(subject.tenant)),
    clusters: [...(await inLanes(places, (place) => onIngress(ctx, actor, subject, place)))],
  }))
}

async function asRequested(
  ctx: Context,
  actor: Actor,
  asked: { tenant: string; name: string; spec: HostSpec },
): Promise<Subject> {
  const { tenant, name, spec } = await checkHost(ctx, actor, { request: asked, permission: 'read' })
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
    certificate: (await namedBy(ctx, spec)) ?? placements[0]?.host.certificate ?? null,
    placements,
  }
}

/** The uploaded certificate that a host is to have. */
function namedBy(
  ctx: Context,
  { certificate: { uploaded } }: CompleteSpec,
): Promise<CertificateRow | undefined> | undefined {
  return uploaded === undefined ? undefined : newestInLine(ctx.db.read, uploaded)
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
  const silence = silenceOf(cluster)
  if (silence !== null) {
    return { ...place, changes: [], conflicts: messages, warnings: [], error: silence }
  }
  try {
    const kube = await openCluster(ctx, cluster.id)
    const recorded = placement ? recordedRefs(placement.objects) : []
    const { steps, conflicts, ...compared } = await compare(kube, {
      renderer: rendererOf(cluster),
      delivery: await deliveryFor(ctx, subject, { cluster, ingress }),
      ...{ recorded, wanted },
    })
    const own = { hostId: subject.id, recorded }
    const rehearsals = await Promise.all(steps.map((step) => rehearsed(kube, step, own)))
    // What stands for a certificate that is still to be issued is warned of, and is not what would be there.
    const changes = subject.certificate?.der ? rehearsals : rehearsals.map(withoutWarnings)
    const missing = wanted ? await missingBackends(kube, spec.routes) : []
    const risks = await compared.risks
    return {
      ...place,
      changes,
      conflicts: [...messages, ...conflicts],
      warnings: [...unissuedWarning(subject), ...risks.map(({ message }) => message), ...missing],
      error: null,
    }
  } catch (error) {
    if (!(error instanceof KubeError) && !(error instanceof Problem)) throw error
    const faults = { conflicts: messages, warnings: [], error: error.message }
    return { ...place, changes: [], ...faults }
  }
}

function unissuedWarning({ certificate }: Subject): readonly string[] {
  if (certificate?.der) return []
  return ['Its certificate is issued first: the Secret is shown without it']
}

/** What a step would do, by a dry run on the cluster itself. Of an object that is somebody else's nothing is
 *  told, since nothing would be done to it. */
async function rehearsed(
  kube: Kube,
  step: Step,
  own: Parameters<typeof isOurs>[1],
): Promise<PlannedChange> {
  const { action, ref, object } = step
  const before = await kube.get(ref)
  const change = {
    ...{ action, ...objectRef(ref), fields: [], moreFields: 0, secret: null },
    ...{ warnings: [], refused: null, heldByOthers: [] },
  }
  if (action === 'keep' || (before && !isOurs(before, own))) return change
  try {
    if (!object) {
      await kube.remove(ref, { dryRun: true })
      return { ...change, ...toldOf(before, undefined) }
    }
    const { object: after, warnings } = await kube.rehearse(object)
    return { ...change, ...toldOf(before, after), warnings: warnings.slice(0, mostWarnings) }
  } catch (error) {
    if (!(error instanceof KubeError) || isAway(error)) throw error
    if (!object || error.fields.length === 0) {
      return { ...change, ...toldOf(before, object), refused: error.message }
    }
    // A push takes the fields of its objects back.
    const { object: after, warnings } = await kube.rehearse(object, { force: true })
    const heldByOthers = [...error.fields]
    const told = { ...toldOf(before, after), warnings: warnings.slice(0, mostWarnings) }
    return { ...change, ...told, heldByOthers }
  }
}

const mostWarnings = 20

function withoutWarnings(change: PlannedChange): PlannedChange {
  return change.secret ? { ...change, warnings: [] } : change
}

function isAway({ fault }: KubeError): boolean {
  return fault === 'unreachable' || fault === 'unavailable' || fault === 'unauthorized'
}

function toldOf(before: KubeObject | undefined, after: KubeObject | undefined) {
  const { fields, more: moreFields } = changesOf(before, after)
  return { fields: [...fields], moreFields, secret: secretChangeOf(before, after) ?? null }
}

async function deliveryFor(
  ctx: Context,
  { tenant, id, name, generation, spec, certificate }: Subject,
  { cluster, ingress }: IngressPlace,
): Promise<DesiredHost> {
  const clients = await clientsOf(ctx, spec, tenant.id)
  const backendClients = await backendClientsOf(ctx, spec)
  const challenges = await servedChallenges(ctx, id)
  return {
    ...(challenges.length > 0 ? { challenges } : {}),
    host: { id, name, tenant: tenant.name, generation, spec },
    ingress: ingressOf(cluster, ingress),
    certificate: certificate?.der ? await pemOf(ctx, certificate) : unissued,
    ...(clients ? { clients } : {}),
    ...(backendClients ? { backendClients } : {}),
  }
}

/** Stands for a certificate that is still to be issued. */
const unissued = { serial: '', chain: '', key: '' } as const

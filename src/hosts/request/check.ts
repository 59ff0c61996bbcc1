import { authorityUnknown } from '../../authorities/authority.ts'
import { issuingUnder, namesTenants, unlistedReason } from '../../authorities/trust/clients.ts'
import {
  type ClusterApi,
  defaultIngress,
  type Place,
  placeOf,
  placeText,
} from '../../clusters/cluster.ts'
import { apiOf, type ClusterRow, ingressesOf } from '../../clusters/find.ts'
import type { Actor, Permission } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { accessTenant, policyOf, type TenantRow } from '../../tenants/access.ts'
import { claimsOn, holdersTogether } from '../../tenants/domains/claims.ts'
import { claimFault } from '../../tenants/domains/ownership.ts'
import { namesIn, subjectPolicyFaults } from '../../tenants/subject.ts'
import { backendClientFaults } from '../certificates/backendclients.ts'
import { uploadedFor } from '../certificates/uploaded.ts'
import { letIn } from '../clients.ts'
import { elsewhereFaults } from '../elsewhere/faults.ts'
import type { CompleteSpec, HostSpec } from '../host.ts'
import { completeSpec } from './complete.ts'
import { gatewayApiFaults } from './gatewayapi.ts'
import { parseHostname } from './hostname.ts'

/** What a caller says of a host. */
export type HostRequest = {
  readonly tenant: string
  readonly name: string
  readonly spec: HostSpec
}

/** A host that may be served, as far as it alone goes; whom it collides with is asked apart. */
export type CheckedHost = {
  readonly tenant: TenantRow
  readonly name: string
  readonly spec: CompleteSpec
  readonly clusters: readonly CheckedPlace[]
}

/** An ingress of a cluster that the host is to go to. */
export type CheckedPlace = {
  readonly id: string
  readonly name: string
  readonly ingress: string
  /** In whose words hosts were written there when it was checked. */
  readonly api?: ClusterApi
}

/** What is asked for, complete with defaults. Throws tenant-unknown, forbidden, and host-refused with
 *  every rule that it breaks. */
export async function checkHost(
  ctx: Context,
  actor: Actor,
  { request, permission }: { request: HostRequest; permission: Permission },
): Promise<CheckedHost> {
  const tenant = await accessTenant(ctx, actor, { name: request.tenant, permission })
  const tx = ctx.db.read
  const parsed = parseHostname(request.name)
  const name = 'name' in parsed ? parsed.name : request.name
  const places = request.spec.clusters.map(placeOf)
  const clusters = await tx.cluster.findMany({
    where: { name: { in: places.map(({ cluster }) => cluster) } },
    select: { id: true, name: true, ingresses: true, api: true },
  })
  const completed = completeSpec(name, request.spec, {
    namespaces: tenant.namespaces,
    defaultAuthority: tenant.defaultAuthority?.name ?? null,
    policy: policyOf(tenant),
    ...(ctx.config.annotations ? { annotations: ctx.config.annotations } : {}),
  })
  const authorities = await authorityFaults(tx, tenant, request.spec)
  // Of an authority that is not the tenant's to name, nothing is told.
  const rules =
    'spec' in completed && authorities.length === 0
      ? await authorityRules(tx, tenant.id, {
          ...{ name, request: request.spec, spec: completed.spec },
          gatewayApi: inGatewayApi(clusters),
        })
      : { elsewhere: false, faults: [] }
  const violations = [
    ...('fault' in parsed ? [{ field: '/name', message: parsed.fault }] : []),
    ...(await nameFaults(tx, tenant, [request.name, ...(request.spec.aliases ?? [])])),
    ...('violations' in completed ? completed.violations : []),
    ...clusterFaults(places, clusters),
    ...authorities,
    ...rules.faults,
    ...('spec' in completed
      ? await uploadedFaults(tx, { tenant, name, now: ctx.now() }, completed.spec)
      : []),
    ...('spec' in completed
      ? gatewayApiFaults(completed.spec, inGatewayApi(clusters), {
          byName: await isByName(tx, tenant.id, completed.spec),
        })
      : []),
    ...(await organizationFaults(ctx, tenant, request.spec)),
    ...(await backendClientFaults(tx, tenant.id, request.spec.routes)),
  ]
  refuse('host-refused', violations)
  if (!('spec' in completed)) throw new Problem('host-refused', 'The host cannot be served')
  const checked = clusters.flatMap(({ id, name: cluster, api }) =>
    places
      .filter((place) => place.cluster === cluster)
      .map(({ ingress }) => ({ id, name: cluster, ingress, api: apiOf({ api }) })),
  )
  const spec = rules.elsewhere ? withoutLength(completed.spec) : completed.spec
  return { tenant, name, spec, clusters: checked }
}

/** A CA elsewhere says how long its certificates are good: what is answered of a host can be put again as it is. */
function withoutLength({ certificate, ...spec }: CompleteSpec): CompleteSpec {
  const { validityDays: _, ...rest } = certificate
  return { ...spec, certificate: rest }
}

/** Why the uploaded certificate that a host names, if it does, cannot serve it. */
async function uploadedFaults(
  tx: Tx,
  { tenant, name, now }: { readonly tenant: TenantRow; readonly name: string; readonly now: Date },
  spec: CompleteSpec,
): Promise<readonly Violation[]> {
  const { uploaded } = spec.certificate
  if (uploaded === undefined) return []
  return (await uploadedFor(tx, uploaded, { tenantId: tenant.id, name, spec, now })).faults
}

/** The clusters where hosts are written in the Gateway API. */
function inGatewayApi(clusters: readonly Pick<ClusterRow, 'name' | 'api'>[]): readonly string[] {
  return clusters.filter((each) => apiOf(each) === 'gateway-api').map(({ name }) => name)
}

/** Whether the gateway has to tell the tenant's clients from others by a name in their certificates. */
async function isByName(tx: Tx, tenantId: string, { tls }: CompleteSpec): Promise<boolean> {
  const { clientAuthority: name } = tls
  if (name === undefined) return false
  const issuing = (await issuingUnder(tx, [name])).get(name)
  return issuing !== undefined && letIn(tls, tenantId, issuing)?.subjectAltName != null
}

/** Every rule for the host's name holds for its aliases. What is no name at all is told of where it is
 *  read. */
async function nameFaults(
  tx: Tx,
  tenant: TenantRow,
  texts: readonly string[],
): Promise<readonly Violation[]> {
  const names = texts.map(parseHostname).flatMap((parsed, index) => {
    const field = index === 0 ? '/name' : `/aliases/${index - 1}`
    return 'name' in parsed ? [{ field, name: parsed.name }] : []
  })
  const claims = await claimsOn(
    tx,
    names.map(({ name }) => name),
  )
  return names.flatMap(({ field, name }) => {
    if (name.startsWith('*.') && policyOf(tenant).wildcards === false) {
      const message = `The tenant's policy allows no wildcards: name the hosts one by one`
      return [{ field, message }]
    }
    const message = claimFault(tenant.id, name, claims)
    return message === undefined ? [] : [{ field, message }]
  })
}

/** The same as when its certificate is issued, so that nobody waits for one that never comes. */
async function organizationFaults(
  ctx: Context,
  tenant: TenantRow,
  { certificate: { organization } = {} }: HostSpec,
): Promise<readonly Violation[]> {
  if (organization === undefined) return []
  const subject = { organization }
  const holders = await holdersTogether(ctx, namesIn(subject))
  const rules = { tenantId: tenant.id, policy: policyOf(tenant), claims: [], holders }
  return subjectPolicyFaults(subject, rules).map(({ message }) => ({
    field: '/certificate/organization',
    message,
  }))
}

/** What is wrong with the places that a host is to go to, given the clusters that there are. */
export function clusterFaults(
  places: readonly Place[],
  known: readonly Pick<ClusterRow, 'name' | 'ingresses'>[],
): readonly Violation[] {
  return places.flatMap((place, index) => {
    const message = placeFault(places.slice(0, index), place, known)
    return message === undefined ? [] : [{ field: `/clusters/${index}`, message }]
  })
}

function placeFault(
  before: readonly Place[],
  place: Place,
  known: readonly Pick<ClusterRow, 'name' | 'ingresses'>[],
): string | undefined {
  const { cluster, ingress } = place
  const row = known.find(({ name }) => name === cluster)
  if (!row) return `There is no cluster "${cluster}"`
  const names = [defaultIngress, ...Object.keys(ingressesOf(row))]
  if (!names.includes(ingress)) {
    return `Cluster "${cluster}" has no ingress "${ingress}", only ${names.join(', ')}`
  }
  return before.some((each) => placeText(each) === placeText(place))
    ? `${placeText(place)} is named before: name each once`
    : undefined
}

async function authorityFaults(
  tx: Tx,
  tenant: TenantRow,
  { certificate, tls }: HostSpec,
): Promise<readonly Violation[]> {
  const named = [
    { field: '/certificate/authority', name: certificate?.authority },
    { field: '/tls/clientAuthority', name: tls?.clientAuthority },
  ]
  const rows = await tx.authority.findMany({
    where: {
      name: { in: named.flatMap(({ name }) => (name === undefined ? [] : [name])) },
      removedAt: null,
      OR: [{ tenantId: null }, { tenantId: tenant.id }],
    },
    select: { name: true },
  })
  return named.flatMap(({ field, name }) =>
    name === undefined || rows.some((row) => row.name === name)
      ? []
      : [{ field, message: authorityUnknown(name).message }],
  )
}

/** What the authorities that a host names have against it. */
async function authorityRules(
  tx: Tx,
  tenantId: string,
  asked: Parameters<typeof elsewhereFaults>[1],
): ReturnType<typeof elsewhereFaults> {
  const { elsewhere, faults } = await elsewhereFaults(tx, asked)
  const isOfClients = faults.some(({ field }) => field === '/tls/clientAuthority')
  if (isOfClients) return { elsewhere, faults }
  return { elsewhere, faults: [...faults, ...(await clientFaults(tx, tenantId, asked.spec))] }
}

/** Where an authority is not the tenant's alone, its certificates have to say whose client it is. */
async function clientFaults(
  tx: Tx,
  tenantId: string,
  { tls }: CompleteSpec,
): Promise<readonly Violation[]> {
  const { clientAuthority: name } = tls
  if (name === undefined) return []
  const unlisted = await unlistedReason(tx, name)
  if (unlisted !== undefined) {
    const message = `Gateways could not be told which clients of "${name}" are revoked, since ${unlisted}: choose another clientAuthority`
    return [{ field: '/tls/clientAuthority', message }]
  }
  const issuing = (await issuingUnder(tx, [name])).get(name)
  const who = issuing && letIn(tls, tenantId, issuing)
  if (!who?.subjectAltName || (who.onlyOwn && (await namesTenants(tx, name)))) return []
  const reason = who.onlyOwn
    ? 'its name constraints allow no URI of a tenant'
    : 'its certificates, or those of an authority below it, are not issued here'
  const message = `Clients of "${name}" cannot be told apart by tenant, since ${reason}: choose another clientAuthority, or say "authority" to let in everybody who has a certificate of it`
  return [{ field: '/tls/clients', message }]
}

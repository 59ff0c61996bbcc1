import { type Clients, gatewayTrust } from '../authorities/crl/gateway.ts'
import { issuingUnder } from '../authorities/trust/clients.ts'
import { servedChallenges } from '../certificates/elsewhere/challenges.ts'
import { ingressOf } from '../clusters/find.ts'
import type { Context } from '../core/context.ts'
import { batchedReads } from '../core/database/batch.ts'
import type { Tx } from '../core/database/db.ts'
import { oncePer } from '../core/onceper.ts'
import { letIn } from '../hosts/clients.ts'
import { specOf } from '../hosts/find.ts'
import type { CompleteSpec } from '../hosts/host.ts'
import { backendClientsOf } from './pairs/backendclients.ts'
import { pemOf } from './pairs/pem.ts'
import type { DesiredHost } from './renderer.ts'

const withHost = {
  cluster: true,
  host: {
    include: {
      tenant: { select: { name: true } },
      certificate: {
        select: {
          ...{ id: true, serial: true, der: true, status: true, notAfter: true },
          ...{ issuerId: true, chainPem: true, anchorPem: true, uploaded: true },
          spkiSha256: true,
        },
      },
    },
  },
} as const

export type PlacementRow = Awaited<ReturnType<typeof readPlacements>>[number]
export type CertificateRow = NonNullable<PlacementRow['host']['certificate']>

/** A placement with all that decides what is to be on the cluster; those who ask at once share one statement. */
export function readPlacement(ctx: Context, id: string): Promise<PlacementRow | null> {
  return placementsById(ctx)(id)
}

const placementsById = oncePer((ctx) =>
  batchedReads(
    (ids) => ctx.db.read.placement.findMany({ where: { id: { in: ids } }, include: withHost }),
    ({ id }) => id,
  ),
)

/** The same for all placements of a host, by cluster and ingress name. */
export function readPlacements(tx: Tx, hostId: string) {
  return tx.placement.findMany({
    where: { hostId },
    include: withHost,
    orderBy: [{ cluster: { name: 'asc' } }, { ingress: 'asc' }],
  })
}

/** What the host's objects are made of. Throws key-absent. */
export async function deliveryOf(
  ctx: Context,
  { host, cluster, ingress }: PlacementRow,
  certificate: CertificateRow,
): Promise<DesiredHost> {
  const spec = specOf(host)
  const clients = await clientsOf(ctx, spec, host.tenantId)
  const backendClients = await backendClientsOf(ctx, spec)
  return {
    ...(await challengesAt(ctx, { host, cluster, ingress })),
    certificate: await pemOf(ctx, certificate),
    ...(clients ? { clients } : {}),
    ...(backendClients ? { backendClients } : {}),
  }
}

/** What there is of a host that has no certificate yet: what answers a CA elsewhere. */
export async function challengesAt(
  ctx: Context,
  { host, cluster, ingress }: Pick<PlacementRow, 'host' | 'cluster' | 'ingress'>,
): Promise<Omit<DesiredHost, 'certificate'>> {
  const challenges = await servedChallenges(ctx, host.id)
  return {
    host: {
      id: host.id,
      name: host.name,
      tenant: host.tenant.name,
      generation: host.generation,
      spec: specOf(host),
    },
    ingress: ingressOf(cluster, ingress),
    ...(challenges.length > 0 ? { challenges } : {}),
  }
}

/** Whose clients a MUTUAL host of the tenant lets in. */
export type HostClients = { readonly clients: Clients; readonly subjectAltName: string | null }

/** The same, as it is asked for; undefined: nobody is asked for a certificate. */
export async function clientsLetIn(
  ctx: Context,
  { tls }: CompleteSpec,
  tenantId: string,
): Promise<HostClients | undefined> {
  const name = tls.clientAuthority
  if (tls.mode !== 'MUTUAL' || name === undefined) return undefined
  const issuing = (await issuingUnder(ctx.db.read, [name])).get(name) ?? []
  const subjectAltName = letIn(tls, tenantId, issuing)?.subjectAltName ?? null
  // Who is known by the tenant's name is on its own list; where nobody is asked for it, on the whole one.
  const clients = { authority: name, tenantId: subjectAltName === null ? null : tenantId }
  return { clients, subjectAltName }
}

/** Whose client certificates a MUTUAL host of the tenant accepts, and which of them are revoked. */
export async function clientsOf(
  ctx: Context,
  spec: CompleteSpec,
  tenantId: string,
): Promise<DesiredHost['clients'] | undefined> {
  const found = await clientsLetIn(ctx, spec, tenantId)
  if (!found) return undefined
  const { trust, crl } = await gatewayTrust(ctx, found.clients)
  return {
    trust,
    ...(crl === undefined ? {} : { crl }),
    ...(found.subjectAltName === null ? {} : { subjectAltName: found.subjectAltName }),
  }
}

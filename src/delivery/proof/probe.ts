import Type from 'typebox'
import { trustAnchorOf } from '../../authorities/issuers/current.ts'
import { openPrivateKey } from '../../certificates/issuance/key.ts'
import { ingressOf } from '../../clusters/find.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { hostRow, specOf } from '../../hosts/find.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { closed, Name, Timestamp } from '../../shared/schema.ts'
import { timestamp } from '../../shared/view.ts'
import { accessTenant, type TenantRow } from '../../tenants/access.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { toPem } from '../../x509/der/pem.ts'
import { type PlacementRow, readPlacements } from '../gather.ts'
import { type Answer, type Call, nameUnder, shakeHands } from './handshake.ts'

/** What to ask for: on one cluster or all of the host's, a path, and who to be. */
export const ProbeRequest = closed({
  cluster: Type.Optional(Name),
  path: Type.Optional(Type.String({ pattern: '^/[!-~]*$', maxLength: 1024 })),
  clientCertificate: Type.Optional(
    Type.String({
      format: 'uuid',
      description: 'Show this certificate of the tenant, whose key is held here',
    }),
  ),
})
export type ProbeRequest = Type.Static<typeof ProbeRequest>

const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])

export const ProbeResult = closed(
  {
    cluster: Name,
    ingress: Name,
    address: Type.String(),
    tls: nullable(
      closed({
        version: Type.String({ description: 'TLSv1.2 or TLSv1.3' }),
        served: closed({
          serial: Type.String(),
          fingerprintSha256: Type.String(),
          notAfter: Timestamp,
          chainLength: Type.Integer({ description: 'Certificates sent, without the root' }),
        }),
        issuedIsServed: Type.Boolean({ description: 'Is it the certificate that was issued?' }),
        trusted: Type.Boolean({ description: 'Does it lead to its authority, and hold the name?' }),
        distrust: nullable(Type.String({ description: 'Why it is not trusted' })),
      }),
    ),
    http: nullable(closed({ status: Type.Integer() })),
    error: nullable(Type.String({ description: 'Where the connection ended, if it did' })),
  },
  { title: 'ProbeResult' },
)
export type ProbeResult = Type.Static<typeof ProbeResult>

export const ProbeResults = closed({ results: Type.Array(ProbeResult) })
export type ProbeResults = Type.Static<typeof ProbeResults>

/** Asks each ingress for the host as a client would, now. Throws tenant-unknown, host-unknown,
 *  certificate-unknown, request-invalid. */
export async function probeHost(
  ctx: Context,
  actor: Actor,
  { tenant: name, name: host, asked }: { tenant: string; name: string; asked: ProbeRequest },
): Promise<ProbeResults> {
  const permission = asked.clientCertificate === undefined ? 'read' : 'read-keys'
  const tenant = await accessTenant(ctx, actor, { name, permission })
  const row = await hostRow(ctx.db.read, { tenantId: tenant.id, name: host })
  const placements = (await readPlacements(ctx.db.read, row.id)).filter(
    ({ cluster }) => asked.cluster === undefined || cluster.name === asked.cluster,
  )
  if (placements.length === 0) {
    const message = `${row.name} is not on cluster "${asked.cluster}"`
    refuse('request-invalid', [{ field: '/cluster', message }])
  }
  const trust = await trustOf(ctx, specOf(row).certificate.authority)
  const client = await clientOf(ctx, tenant, asked.clientCertificate)
  const call = {
    name: nameUnder(row.name),
    trust,
    ...(asked.path === undefined ? {} : { path: asked.path }),
    ...(client ? { client } : {}),
  }
  return { results: await Promise.all(placements.map((placement) => probe(placement, call))) }
}

async function probe(
  { cluster, ingress, host }: PlacementRow,
  call: Omit<Call, 'address'>,
): Promise<ProbeResult> {
  const { address } = ingressOf(cluster, ingress)
  const { tls, status, error } = await shakeHands({ ...call, address })
  return {
    cluster: cluster.name,
    ingress,
    address,
    tls: tls && shown(tls, host.certificate?.der),
    http: status === null ? null : { status },
    error,
  }
}

function shown(
  { version, leaf, chainLength, distrust }: NonNullable<Answer['tls']>,
  issued: Uint8Array | null | undefined,
): ProbeResult['tls'] {
  return {
    version,
    served: {
      serial: leaf.serialNumber.toLowerCase(),
      fingerprintSha256: fingerprintSha256(leaf.raw),
      notAfter: timestamp(leaf.validToDate),
      chainLength,
    },
    issuedIsServed: issued ? leaf.raw.equals(issued) : false,
    trusted: distrust === null,
    distrust,
  }
}

async function trustOf(ctx: Context, authority: string): Promise<readonly string[]> {
  const anchors = await trustAnchorOf(ctx.db.read, authority)
  return anchors.map((der) => toPem('CERTIFICATE', der))
}

/** The tenant's own client certificate, with its key. */
async function clientOf(
  ctx: Context,
  tenant: TenantRow,
  id: string | undefined,
): Promise<Call['client']> {
  if (id === undefined) return undefined
  const row = await ctx.db.read.certificate.findUnique({
    where: { tenantId_id: { tenantId: tenant.id, id } },
    select: { der: true },
  })
  if (!row?.der) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  const cert = toPem('CERTIFICATE', Buffer.from(row.der))
  return { cert, key: toPem('PRIVATE KEY', await openPrivateKey(ctx, id)) }
}

import Type from 'typebox'
import { trustAnchorOf } from '../../authorities/issuers/current.ts'
import { probeCredential } from '../../certificates/hosts/probing.ts'
import { openLeafKey } from '../../certificates/issuance/key.ts'
import type { NamedIngress } from '../../clusters/cluster.ts'
import { ingressOf } from '../../clusters/find.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { hostRow, specOf } from '../../hosts/find.ts'
import { type CompleteSpec, namesOf } from '../../hosts/host.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { closed, Name } from '../../shared/schema.ts'
import { hostSpelling } from '../../shared/spelling.ts'
import { accessTenant, type TenantRow } from '../../tenants/access.ts'
import { toPem } from '../../x509/der/pem.ts'
import { fewAtOnce, inLanes } from '../few.ts'
import { type PlacementRow, readPlacements } from '../gather.ts'
import type { ProbeFindings } from './checks.ts'
import type { Call } from './connection.ts'
import { askPlainly, nameUnder, shakeHands } from './handshake.ts'
import { offersOf } from './offers.ts'
import { ProbeResult, resultOf } from './result.ts'

/** What to ask for: on one cluster or all of the host's, a path, and who to be. */
export const ProbeRequest = closed(
  {
    cluster: Type.Optional(Name),
    ingress: Type.Optional(Name),
    alias: Type.Optional(
      Type.String({ minLength: 1, maxLength: 255, description: 'Ask for this name of the host' }),
    ),
    path: Type.Optional(Type.String({ pattern: '^/[!-~]*$', maxLength: 1024 })),
    clientCertificate: Type.Optional(
      Type.String({
        format: 'uuid',
        description: 'Show this certificate of the tenant, whose key is held here',
      }),
    ),
    offers: Type.Optional(
      Type.Boolean({
        description:
          'Ask for each TLS version, key-exchange group and protocol alone: ten connections more on each ingress (false)',
      }),
    ),
  },
  { title: 'ProbeRequest', examples: [{ cluster: 'sandbox', path: '/status/200' }] },
)
export type ProbeRequest = Type.Static<typeof ProbeRequest>

export const ProbeResults = closed({ results: Type.Array(ProbeResult) }, { title: 'ProbeResults' })
export type ProbeResults = Type.Static<typeof ProbeResults>

/** Asks each ingress for the host as a client would, now, and says of each thing what was expected. Throws
 *  tenant-unknown, host-unknown, certificate-unknown, request-invalid, busy. */
export async function probeHost(
  ctx: Context,
  actor: Actor,
  { tenant: name, name: host, asked }: { tenant: string; name: string; asked: ProbeRequest },
): Promise<ProbeResults> {
  const permission = asked.clientCertificate === undefined ? 'read' : 'read-keys'
  const tenant = await accessTenant(ctx, actor, { name, permission })
  const row = await hostRow(ctx.db.read, { tenantId: tenant.id, name: host })
  const placements = (await readPlacements(ctx.db.read, row.id)).filter(
    ({ cluster, ingress }) =>
      (asked.cluster === undefined || cluster.name === asked.cluster) &&
      (asked.ingress === undefined || ingress === asked.ingress),
  )
  if (placements.length === 0) {
    const [field, value] =
      asked.ingress === undefined
        ? ['/cluster', `cluster "${asked.cluster}"`]
        : ['/ingress', `ingress "${asked.ingress}"`]
    refuse('request-invalid', [{ field, message: `${row.name} is not on ${value}` }])
  }
  const spec = specOf(row)
  const hostname = nameOf(row.name, spec, asked.alias)
  return fewAtOnce(ctx, tenant.id, async () => {
    const call = {
      name: nameUnder(hostname),
      trust: await trustOf(ctx, spec, row.certificate?.id),
      ...(asked.path === undefined ? {} : { path: asked.path }),
    }
    const shown = await shownOf(ctx, { tenant, spec, id: asked.clientCertificate })
    const client = await clientOf(ctx, tenant, spec)
    const question = { spec, call, offers: asked.offers === true, shown, client }
    return { results: [...(await inLanes(placements, (placement) => probe(placement, question)))] }
  })
}

/** One of the host's names. Throws request-invalid. */
function nameOf(name: string, spec: CompleteSpec, alias: string | undefined): string {
  if (alias === undefined) return name
  const wanted = hostSpelling(alias)
  const found = namesOf(name, spec).find((each) => each === wanted)
  if (found !== undefined) return found
  refuse('request-invalid', [{ field: '/alias', message: `${alias} is no name of ${name}` }])
  return name
}

/** Who to be, and how that is expected to go. */
type Shown = NonNullable<ProbeFindings['shown']> & { readonly client: NonNullable<Call['client']> }
type MadeClient = { readonly client: NonNullable<Call['client']> } | { readonly unproved: string }

type Question = {
  readonly spec: CompleteSpec
  readonly call: Omit<Call, 'address' | 'client'>
  readonly offers: boolean
  readonly shown: Shown | undefined
  readonly client: MadeClient | undefined
}

async function probe(placement: PlacementRow, question: Question): Promise<ProbeResult> {
  const { cluster, ingress, host } = placement
  const at = ingressOf(cluster, ingress)
  const found = await ask(at, host, question)
  return resultOf({ cluster: cluster.name, ingress: at }, found)
}

/** All that is to be asked of one ingress. Where it makes no TLS connection, no further one is tried. */
async function ask(
  { address, plainAddress }: NamedIngress,
  { certificate }: PlacementRow['host'],
  { spec, call, offers, shown, client }: Question,
): Promise<ProbeFindings> {
  const own = { ...call, address }
  const made = client && 'client' in client ? client.client : undefined
  const as = (who: Call['client']): Call => ({ ...own, ...(who ? { client: who } : {}) })
  const [answer, plain] = await Promise.all([
    shakeHands(as(shown?.client)),
    plainAddress === undefined ? undefined : askPlainly({ ...call, address: plainAddress }),
  ])
  const found = {
    ...{ spec, answer, name: call.name },
    issued: certificate?.der ?? null,
    ...(shown ? { shown } : {}),
    ...(plain ? { plain } : {}),
  }
  if (!answer.tls) return found
  const mutual = spec.tls.mode === 'MUTUAL'
  const [stranger, letIn, offered] = await Promise.all([
    mutual ? (shown ? shakeHands(own) : answer) : undefined,
    made ? shakeHands(as(made)) : client && 'unproved' in client ? client : undefined,
    offers ? offersOf(as(made)) : undefined,
  ])
  return {
    ...found,
    ...(stranger ? { stranger } : {}),
    ...(letIn ? { client: letIn } : {}),
    ...(offered ? { offers: offered } : {}),
  }
}

/** Of an uploaded certificate the root that it leads to; none while there is no certificate. */
async function trustOf(
  ctx: Context,
  { certificate: { authority } }: CompleteSpec,
  id: string | undefined,
): Promise<readonly string[]> {
  if (authority === undefined) {
    const where = { id: id ?? '' }
    const found = id === undefined ? null : await ctx.db.read.certificate.findUnique({ where })
    return found?.anchorPem ? [found.anchorPem] : []
  }
  const anchors = await trustAnchorOf(ctx.db.read, authority)
  return anchors.map((der) => toPem('CERTIFICATE', der))
}

/** The tenant's own client certificate, with its key. */
async function shownOf(
  ctx: Context,
  { tenant, spec, id }: { tenant: TenantRow; spec: CompleteSpec; id: string | undefined },
): Promise<Shown | undefined> {
  if (id === undefined) return undefined
  const row = await ctx.db.read.certificate.findUnique({
    where: { tenantId_id: { tenantId: tenant.id, id } },
    select: { der: true, status: true, notAfter: true, authority: { select: { name: true } } },
  })
  if (!row?.der) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  const cert = toPem('CERTIFICATE', Buffer.from(row.der))
  const client = { cert, key: toPem('PRIVATE KEY', await openLeafKey(ctx, id)) }
  // Nobody else asks for one, so nobody refuses one.
  if (spec.tls.mode !== 'MUTUAL') return { client, refusedFor: null }
  if (row.authority?.name !== spec.tls.clientAuthority) return { client }
  if (row.status === 'revoked') return { client, refusedFor: 'it was revoked' }
  if (row.notAfter <= ctx.now()) return { client, refusedFor: 'it has ended' }
  return { client, refusedFor: null }
}

/** MUTUAL: one made for this, or why there is none. */
async function clientOf(
  ctx: Context,
  { name: tenant }: TenantRow,
  { tls: { mode, clientAuthority: authority } }: CompleteSpec,
): Promise<MadeClient | undefined> {
  if (mode !== 'MUTUAL' || authority === undefined) return undefined
  try {
    return { client: await probeCredential(ctx, { tenant, authority }) }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { unproved: error.message }
  }
}

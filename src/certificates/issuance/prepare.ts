import { shardOf } from '../../authorities/crl/urls.ts'
import { currentIssuer, type IssuingAuthority } from '../../authorities/issuers/current.ts'
import type { ReadyIssuer } from '../../authorities/issuers/ready.ts'
import { leafValidity } from '../../authorities/issuers/validity.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { type KeyFor, makeKey } from '../../core/keys/make.ts'
import { orRefuse } from '../../core/refusal.ts'
import type { Labels } from '../../shared/lists/labels.ts'
import { must } from '../../shared/must.ts'
import { refuse } from '../../shared/problem.ts'
import { policyOf, type TenantRow } from '../../tenants/access.ts'
import { tenantUri } from '../../tenants/uri.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { serialFrom } from '../../x509/certificates/serial.ts'
import { toBeSignedBy, type Validity } from '../../x509/certificates/template.ts'
import { keyIdentifier } from '../../x509/keys/public.ts'
import { lint } from '../../x509/lints/run.ts'
import { type RenewalReason, renewAt, spreadOf } from '../renewal/rules.ts'
import type { IssuanceRequest } from '../vetting/request.ts'
import { sealLeafKey } from './key.ts'
import type { Reservation } from './store.ts'

/** A certificate to be made, after its request has been checked. */
export type IssuanceOrder = {
  readonly tenant: Pick<TenantRow, 'id' | 'name' | 'policy' | 'quotas' | 'crlShard'>
  readonly authority: IssuingAuthority
  /** The certificate of `authority` that signs now. */
  readonly issuer: ReadyIssuer
  readonly request: IssuanceRequest
  readonly cause: 'requested' | 'host' | 'renewal' | 'probe'
  readonly hostId?: string
  readonly replacesId?: string
  /** Why, if it takes the place of another. */
  readonly reason?: RenewalReason | 'misfit'
  readonly autoRenew: boolean
  /** By which it is found (src/shared/lists/labels.ts). */
  readonly labels?: Labels
  readonly requestKey?: string
  readonly requestHash?: string
}

const preparedHere = Symbol('prepared')

/** A certificate with its key and the exact bytes to be signed, which have been linted. Only
 *  prepareIssuance makes one, and it is reserved once. */
export type Prepared = {
  readonly [preparedHere]: true
  readonly order: IssuanceOrder
  readonly reservation: Reservation
  readonly tbs: Buffer
}

const unreserved = new WeakSet<Prepared>()

/** Takes a certificate that was prepared, to be reserved. A second time, or of a copy, it throws. */
export function takePrepared(prepared: Prepared): Prepared {
  if (unreserved.delete(prepared)) return prepared
  throw new Error('a certificate is reserved once, as it was prepared')
}

/** Makes the key, if none was sent, the serial and the bytes to be signed. A client certificate, of a
 *  peer too, names its tenant. Throws certificate-refused for what the lints find. */
export async function prepareIssuance(
  ctx: Context,
  actor: Actor,
  order: IssuanceOrder,
): Promise<Prepared> {
  const { tenant, authority, issuer } = order
  const request = issuer.namesTenants ? namingTenant(order.request, tenant.id) : order.request
  const now = ctx.now()
  const validity = leafValidity(request.validityDays, now, authority)
  const made = request.spki
    ? undefined
    : await makeKey(ctx, request.keyAlgorithm, keyFor(actor, order))
  const spki = request.spki ?? must(made, 'a key was neither sent nor made').spki
  const serial = serialFrom(ctx.random(16))
  const crlShard =
    request.profile === 'server' ? shardOf(serial, authority.crlShards) : tenant.crlShard
  const tbs = lintedBytes({ request, issuer, serial, spki, validity, now, crlShard })
  const id = newId(now)
  const reservation: Reservation = {
    id,
    tenantId: tenant.id,
    authorityId: authority.id,
    issuerId: currentIssuer(authority).id,
    hostId: order.hostId ?? null,
    profile: request.profile,
    serial,
    subject: request.subject,
    commonName: request.commonName ?? null,
    ...request.names,
    leftOut: request.leftOut ?? [],
    keyAlgorithm: request.keyAlgorithm,
    spkiSha256: fingerprintSha256(spki),
    keySource: made ? 'server' : 'caller',
    ...validity,
    tbs: tbs.toString('base64'),
    actor,
    replacesId: order.replacesId ?? null,
    cause: order.cause,
    reason: order.reason ?? null,
    renewAt: renewAt(validity, spreadOf(serial), policyOf(tenant).renewBefore),
    autoRenew: order.autoRenew,
    labels: order.labels ?? {},
    requestKey: order.requestKey ?? null,
    requestHash: order.requestHash ?? null,
    createdAt: now,
    crlShard,
    sealed: made ? sealLeafKey(ctx, id, made.pkcs8).toString('base64') : null,
  }
  made?.pkcs8.fill(0)
  const prepared: Prepared = { [preparedHere]: true, order, reservation, tbs }
  unreserved.add(prepared)
  return prepared
}

/** Who shows it to a gateway is known by this for the tenant's own: nobody can ask for such a URI. */
function namingTenant(request: IssuanceRequest, tenantId: string): IssuanceRequest {
  if (request.profile === 'server') return request
  const { names } = request
  return { ...request, names: { ...names, uris: [...names.uris, tenantUri(tenantId)] } }
}

/** A job that waits holds a slot of its worker. */
function keyFor({ kind }: Actor, { tenant, cause }: IssuanceOrder): KeyFor {
  return { tenantId: tenant.id, unasked: kind === 'system' && cause !== 'requested' }
}

type Contents = {
  readonly request: IssuanceRequest
  readonly issuer: ReadyIssuer
  readonly serial: string
  readonly spki: Buffer
  readonly validity: Validity
  readonly now: Date
  readonly crlShard: number
}

function lintedBytes(contents: Contents): Buffer {
  const { request, issuer, serial, spki, validity, now, crlShard } = contents
  const { prepared, crlUrl } = issuer.onShard(crlShard)
  const tbs = orRefuse('certificate-refused', '', () =>
    toBeSignedBy(prepared, {
      serial,
      validity,
      subject: request.subject,
      spki,
      profile: request.profile,
      altNames: request.names,
      subjectKeyIdentifier: keyIdentifier(spki),
    }),
  )
  const findings = lint(tbs, {
    issuer: issuer.certificate,
    profile: request.profile,
    allowed: {
      now,
      backdateSeconds: 120,
      constraints: issuer.constraints,
      ...(crlUrl === undefined ? {} : { crlUrl }),
    },
  })
  refuse(
    'certificate-refused',
    findings.map(({ name, clause, detail }) => ({
      field: '',
      message: `${detail} (${name}, ${clause})`,
    })),
  )
  return tbs
}

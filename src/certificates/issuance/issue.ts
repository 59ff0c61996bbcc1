import { createHash } from 'node:crypto'
import { shardOf } from '../../authorities/crl/urls.ts'
import { currentIssuer, type IssuingAuthority } from '../../authorities/issuers/current.ts'
import { type ReadyIssuer, readyIssuer } from '../../authorities/issuers/ready.ts'
import { keyFault, takenKey } from '../../authorities/keys/holders.ts'
import { signInTurn } from '../../authorities/keys/signer.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { type KeyFor, makeKey } from '../../core/keys/make.ts'
import { orRefuse } from '../../core/refusal.ts'
import { must } from '../../shared/must.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { policyOf, type TenantRow } from '../../tenants/access.ts'
import { claimsTogether, holdersTogether } from '../../tenants/domains/claims.ts'
import type { Claim } from '../../tenants/domains/ownership.ts'
import { returnOrder, takeOrder } from '../../tenants/quotas/orders.ts'
import { hostsInText, namesIn } from '../../tenants/subject.ts'
import { tenantUri } from '../../tenants/uri.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { serialFrom } from '../../x509/certificates/serial.ts'
import { toBeSignedBy, type Validity } from '../../x509/certificates/template.ts'
import { keyIdentifier } from '../../x509/keys/public.ts'
import { assemble } from '../../x509/keys/sign.ts'
import { lint } from '../../x509/lints/run.ts'
import type { Certificate, NewCertificate } from '../certificate.ts'
import { factsOf, nameOf } from '../facts.ts'
import { certificateView, getCertificate, type Viewable } from '../find.ts'
import { type RenewalReason, renewAt, spreadOf } from '../renewal/rules.ts'
import { finishCertificate } from './finish.ts'
import { sealPrivateKey } from './key.ts'
import { defaultDays, limitFaults } from './limits.ts'
import { mailParts, uriHost, violations } from './policy.ts'
import { type Ask, leafValidity, readAsk } from './request.ts'
import { type Standing, standing } from './standing.ts'
import { issueStore, type Reservation } from './store.ts'

/** Issues a certificate for a tenant. With an `idempotencyKey` a retry of the same request answers with
 *  the same certificate, whatever happened in between. Throws tenant-unknown, authority-unknown,
 *  certificate-refused (with every violation), idempotency-mismatch, authority-keyless,
 *  quota-exceeded. */
export async function issueCertificate(
  ctx: Context,
  actor: Actor,
  input: { tenant: string; asked: NewCertificate; idempotencyKey: string | undefined },
): Promise<Certificate> {
  const { tenant, asked, idempotencyKey } = input
  const draft = readAsk(asked, 0)
  const { authority } = asked
  const stands = await standing(ctx, actor, { tenant, authority, hosts: hostsIn(draft) })
  return issueDraft(ctx, actor, { stands, asked, draft, idempotencyKey })
}

/** A request that has been read, and by what it is judged. */
export type Draft = {
  readonly stands: Standing
  readonly asked: NewCertificate
  readonly draft: Ask
  readonly idempotencyKey: string | undefined
}

/** The same for a request that has been read. Throws as issueCertificate. */
export async function issueDraft(ctx: Context, actor: Actor, input: Draft): Promise<Certificate> {
  const { asked, draft, stands } = input
  const { tenant, authority } = stands
  const validityDays = asked.validityDays ?? defaultDays(authority, policyOf(tenant))
  const ask = { ...draft, validityDays }
  await judge(ctx, { ...stands, ask })
  const { id, row } = await issueOrdered(ctx, actor, {
    tenant,
    authority,
    ask,
    cause: 'requested',
    autoRenew: asked.autoRenew ?? false,
    ...requestIdentity(actor, tenant, input),
  })
  return row ? certificateView(ctx, row) : getCertificate(ctx, actor, { tenant: tenant.name, id })
}

/** Throws certificate-refused with everything that the tenant's policy and domains, the authority's
 *  limits and its name constraints do not allow, and for a key that is blocked or not the tenant's own;
 *  authority-keyless. */
export async function judge(ctx: Context, judged: Judged): Promise<void> {
  refuse('certificate-refused', await faultsOf(ctx, judged))
}

/** What is judged, by whose rules; `claims` on its names if they have been read. */
export type Judged = {
  readonly tenant: TenantRow
  readonly authority: IssuingAuthority
  readonly ask: Ask
  readonly claims?: readonly Claim[]
}

/** The same as an answer: everything that is not allowed. Throws authority-keyless. */
export async function faultsOf(ctx: Context, judged: Judged): Promise<readonly Violation[]> {
  const { tenant, authority, ask } = judged
  const issuer = currentIssuer(authority)
  const { constraints } = await readyIssuer(ctx, { issuer, authority: authority.name })
  const [claims, holders, known] = await Promise.all([
    judged.claims ?? claimsTogether(ctx, hostsIn(ask)),
    holdersTogether(ctx, namesToJudge(ask)),
    ask.spki ? keyFault(ctx.db.read, ask.spki, tenant.id) : undefined,
  ])
  const rules = { tenantId: tenant.id, policy: policyOf(tenant), claims, holders }
  return [
    ...violations(ask, rules),
    ...limitFaults(ask, authority, constraints),
    ...(known === undefined ? [] : [{ field: '/csr', message: known }]),
  ]
}

/** The host names whose owners are asked for. */
export function hostsIn({ names, subject }: Ask): readonly string[] {
  return [
    ...names.dnsNames,
    ...names.emailAddresses.map((mail) => mailParts(mail).host),
    ...names.uris.map(uriHost),
    ...(subject.commonName === undefined ? [] : hostsInText(subject.commonName)),
  ]
}

/** The texts of the subject that may be the names of tenants; a host that it is for is none. */
function namesToJudge({ names, subject }: Ask): readonly string[] {
  return namesIn(subject).filter((text) => !names.dnsNames.includes(text))
}

/** A certificate to be made: everything has been judged. */
export type Order = {
  readonly tenant: Pick<TenantRow, 'id' | 'name' | 'policy' | 'quotas'>
  readonly authority: IssuingAuthority
  readonly ask: Ask
  readonly cause: 'requested' | 'host' | 'renewal' | 'probe'
  readonly hostId?: string
  readonly replacesId?: string
  /** Why, if it takes the place of another. */
  readonly reason?: RenewalReason | 'misfit'
  readonly autoRenew: boolean
  readonly requestKey?: string
  readonly requestHash?: string
}

/** An issued certificate; `row` is there when it was made just now and not by an earlier request. */
export type Issued = { readonly id: string; readonly row: Viewable | undefined }

/** As issue, for what somebody ordered: it counts against the quota of the tenant, unless this request
 *  has its certificate already. Throws quota-exceeded. */
export async function issueOrdered(ctx: Context, actor: Actor, order: Order): Promise<Issued> {
  const { tenant } = order
  try {
    await takeOrder(ctx, tenant)
  } catch (error) {
    if (!(await isKnown(ctx, order))) throw error
    return { id: await retried(ctx, order), row: undefined }
  }
  try {
    const issued = await issue(ctx, actor, order)
    if (!issued.row) returnOrder(ctx, tenant)
    return issued
  } catch (error) {
    // Anything else may have come after it was stored, and is finished later.
    if (error instanceof Problem && error.type !== 'unavailable') returnOrder(ctx, tenant)
    throw error
  }
}

async function isKnown(ctx: Context, { requestKey }: Order): Promise<boolean> {
  if (requestKey === undefined) return false
  const where = { requestKey: new Uint8Array(Buffer.from(requestKey, 'hex')) }
  return (await ctx.db.read.certificate.count({ where })) > 0
}

/** Issues what was ordered; a client certificate, of a peer too, names its tenant. The row with the exact bytes to be signed is stored
 *  first, those bytes are linted and signed, and only then is the signature stored: killed anywhere
 *  between, there is no certificate that is not recorded, and finishCertificate settles the rest. */
export async function issue(ctx: Context, actor: Actor, order: Order): Promise<Issued> {
  const { authority } = order
  const issuer = currentIssuer(authority)
  const ready = await readyIssuer(ctx, { issuer, authority: authority.name })
  const ask = ready.namesTenants ? namingTenant(order.ask, order.tenant.id) : order.ask
  const now = ctx.now()
  const validity = leafValidity(ask.validityDays, now, authority)
  // 1. The key and the exact bytes.
  const made = ask.spki ? undefined : await makeKey(ctx, ask.keyAlgorithm, keyFor(actor, order))
  const spki = ask.spki ?? must(made, 'a key was neither sent nor made').spki
  const serial = serialFrom(ctx.random(16))
  const crlShard = shardOf(serial, authority.crlShards)
  const tbs = prepare({ ask, ready, serial, spki, validity, now, crlShard })
  const id = newId(now)
  // 2. On record before the CA key is used.
  const reservation: Reservation = {
    id,
    tenantId: order.tenant.id,
    authorityId: authority.id,
    issuerId: issuer.id,
    hostId: order.hostId ?? null,
    profile: ask.profile,
    serial,
    subject: ask.subject,
    commonName: ask.commonName ?? null,
    ...ask.names,
    keyAlgorithm: ask.keyAlgorithm,
    spkiSha256: fingerprintSha256(spki),
    keySource: made ? 'server' : 'caller',
    ...validity,
    tbs: tbs.toString('base64'),
    actor,
    replacesId: order.replacesId ?? null,
    cause: order.cause,
    reason: order.reason ?? null,
    renewAt: renewAt(validity, spreadOf(serial), policyOf(order.tenant).renewBefore),
    autoRenew: order.autoRenew,
    requestKey: order.requestKey ?? null,
    requestHash: order.requestHash ?? null,
    createdAt: now,
    crlShard,
    sealed: made ? sealPrivateKey(ctx, id, made.pkcs8).toString('base64') : null,
  }
  made?.pkcs8.fill(0)
  const store = issueStore(ctx)
  const reserved = await store.reserve(reservation)
  if (reserved === 'taken') refuse('certificate-refused', [{ field: '/csr', message: takenKey }])
  if (reserved === 'gone') {
    throw new Problem('authority-unknown', `There is no authority "${authority.name}" any more`)
  }
  if (reserved === 'known') return { id: await retried(ctx, order), row: undefined }
  // 3. Those bytes, once.
  const signature = signInTurn(ready.signer, { party: order.tenant.id, bytes: tbs })
  const der = assemble(tbs, ready.signer.algorithm, await signature)
  // 4. The certificate and the audit event that tells of it.
  const fingerprint = fingerprintSha256(der)
  const stored = await store.complete({
    id,
    der: der.toString('base64'),
    fingerprintSha256: fingerprint,
    at: now,
    actor,
    tenantId: order.tenant.id,
    name: nameOf(reservation),
    changes: factsOf(reservation, authority.name),
  })
  // Another signature over these bytes was stored first: that one is the certificate.
  if (!stored) return { id, row: undefined }
  const { tenant } = order
  const row = { ...reservation, tenant, authority, status: 'active', der }
  return { id, row: { ...row, ...untouched, fingerprintSha256: fingerprint } }
}

/** Who shows it to a gateway is known by this for the tenant's own: nobody can ask for such a URI. */
function namingTenant(ask: Ask, tenantId: string): Ask {
  if (ask.profile === 'server') return ask
  const { names } = ask
  return { ...ask, names: { ...names, uris: [...names.uris, tenantUri(tenantId)] } }
}

/** A job that waits holds a slot of its worker. */
function keyFor({ kind }: Actor, { tenant, cause }: Order): KeyFor {
  return { tenantId: tenant.id, unasked: kind === 'system' && cause !== 'requested' }
}

/** What has not happened to a certificate that was made just now. */
const untouched = {
  revokedAt: null,
  revocationReason: null,
  replacedBy: [],
  renewFailures: 0,
  renewAfter: null,
  renewError: null,
} as const

type Prepared = {
  readonly ask: Ask
  readonly ready: ReadyIssuer
  readonly serial: string
  readonly spki: Buffer
  readonly validity: Validity
  readonly now: Date
  readonly crlShard: number
}

function prepare({ ask, ready, serial, spki, validity, now, crlShard }: Prepared): Buffer {
  const { prepared, crlUrl } = ready.onShard(crlShard)
  const tbs = orRefuse('certificate-refused', '', () =>
    toBeSignedBy(prepared, {
      serial,
      validity,
      subject: ask.subject,
      spki,
      profile: ask.profile,
      altNames: ask.names,
      subjectKeyIdentifier: keyIdentifier(spki),
    }),
  )
  const findings = lint(tbs, {
    issuer: ready.certificate,
    profile: ask.profile,
    allowed: {
      now,
      backdateSeconds: 120,
      constraints: ready.constraints,
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

/** The certificate that the first request with this key made; finished here if it was cut short. */
async function retried(ctx: Context, order: Order): Promise<string> {
  const requestKey = Buffer.from(order.requestKey ?? '', 'hex')
  const first = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { requestKey: new Uint8Array(requestKey) },
    select: { id: true, status: true, requestHash: true },
  })
  if (Buffer.from(first.requestHash ?? '').toString('hex') !== order.requestHash) {
    throw new Problem(
      'idempotency-mismatch',
      'This Idempotency-Key came with another request before; use a new key for a new request',
    )
  }
  if (first.status === 'signing') await finishCertificate(ctx, first.id)
  return first.id
}

function requestIdentity(
  actor: Actor,
  tenant: TenantRow,
  { asked, idempotencyKey }: { asked: NewCertificate; idempotencyKey: string | undefined },
) {
  if (idempotencyKey === undefined) return {}
  const digest = (...parts: readonly string[]) =>
    createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  return {
    requestKey: digest(actor.id ?? actor.name, idempotencyKey),
    requestHash: digest(tenant.id, JSON.stringify(asked)),
  }
}

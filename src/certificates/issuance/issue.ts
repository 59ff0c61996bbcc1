import { readyIssuer } from '../../authorities/issuers/ready.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { policyOf } from '../../tenants/access.ts'
import { returnOrder, takeOrder } from '../../tenants/quotas/orders.ts'
import type { Certificate, NewCertificate } from '../certificate.ts'
import { certificateView, getCertificate, type ViewableCertificate } from '../find.ts'
import { checkRequest, requestedHosts } from '../vetting/check.ts'
import { defaultDays } from '../vetting/limits.ts'
import { type IssuanceRequest, readIssuanceRequest } from '../vetting/request.ts'
import { type IssuanceRules, issuanceRules } from '../vetting/rules.ts'
import { firstCertificate, isRepeated, requestDigest } from './idempotency.ts'
import { type IssuanceOrder, prepareIssuance } from './prepare.ts'
import { recordIssued } from './record.ts'
import { reserve } from './reserve.ts'
import { sign } from './sign.ts'

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
  const request = readIssuanceRequest(asked, 0)
  const { authority } = asked
  const rules = await issuanceRules(ctx, actor, {
    tenant,
    authority,
    hosts: requestedHosts(request),
  })
  return issueChecked(ctx, actor, { rules, asked, request, idempotencyKey })
}

/** A request that has been read, and the rules that apply to it. */
export type RequestToIssue = {
  readonly rules: IssuanceRules
  readonly asked: NewCertificate
  readonly request: IssuanceRequest
  readonly idempotencyKey: string | undefined
}

/** The same for a request that has been read. Throws as issueCertificate. */
export async function issueChecked(
  ctx: Context,
  actor: Actor,
  input: RequestToIssue,
): Promise<Certificate> {
  const { asked, rules } = input
  const { tenant, authority } = rules
  const issuer = await readyIssuer(ctx, authority)
  const validityDays = asked.validityDays ?? defaultDays(authority, policyOf(tenant))
  const request = { ...input.request, validityDays }
  await checkRequest(ctx, { ...rules, issuer, request })
  const { id, row } = await issueWithinQuota(ctx, actor, {
    tenant,
    authority,
    issuer,
    request,
    cause: 'requested',
    autoRenew: asked.autoRenew ?? false,
    ...requestIdentity(actor, input),
  })
  return row ? certificateView(ctx, row) : getCertificate(ctx, actor, { tenant: tenant.name, id })
}

/** An issued certificate; `row` is there when it was made just now and not by an earlier request. */
export type Issued = { readonly id: string; readonly row: ViewableCertificate | undefined }

/** As issue, for what somebody ordered: it counts against the quota of the tenant, unless this request
 *  has its certificate already. Throws quota-exceeded. */
export async function issueWithinQuota(
  ctx: Context,
  actor: Actor,
  order: IssuanceOrder,
): Promise<Issued> {
  const { tenant } = order
  try {
    await takeOrder(ctx, tenant)
  } catch (error) {
    if (!(await isRepeated(ctx, order))) throw error
    return { id: await firstCertificate(ctx, order), row: undefined }
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

/** Issues what was ordered, in four steps that cannot be taken in another order: killed anywhere between
 *  them, there is no certificate that is not recorded, and finishCertificate settles the rest. */
export async function issue(ctx: Context, actor: Actor, order: IssuanceOrder): Promise<Issued> {
  // 1. The key and the exact bytes, linted.
  const prepared = await prepareIssuance(ctx, actor, order)
  // 2. On record before the CA key is used.
  const reserved = await reserve(ctx, prepared)
  if (!reserved) return { id: await firstCertificate(ctx, order), row: undefined }
  // 3. Those bytes, once.
  const signed = await sign(reserved)
  // 4. The certificate and the audit event that tells of it.
  const stored = await recordIssued(ctx, signed)
  const { id } = prepared.reservation
  // Another signature over these bytes was stored first: that one is the certificate.
  if (!stored) return { id, row: undefined }
  const { tenant, authority } = order
  const { der, fingerprintSha256 } = signed
  const row = { ...prepared.reservation, tenant, authority, der, fingerprintSha256 }
  return { id, row: { ...row, ...asIssued } }
}

/** What is so of every certificate that was made just now. */
const asIssued = {
  status: 'active',
  revokedAt: null,
  revocationReason: null,
  replacedBy: [],
  renewFailures: 0,
  renewAfter: null,
  renewError: null,
} as const

function requestIdentity(actor: Actor, { rules, asked, idempotencyKey }: RequestToIssue) {
  if (idempotencyKey === undefined) return {}
  return {
    requestKey: requestDigest(actor.id ?? actor.name, idempotencyKey),
    requestHash: requestDigest(rules.tenant.id, JSON.stringify(asked)),
  }
}

import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { returnOrder, takeOrder } from '../../tenants/quotas/orders.ts'
import type { Certificate, NewCertificate } from '../certificate.ts'
import { certificateView, getCertificate } from '../find.ts'
import { type AllowedRequest, checkNewCertificate } from '../vetting/check.ts'
import { firstCertificate, isRepeated, requestDigest } from './idempotency.ts'
import type { IssuanceOrder } from './prepare.ts'
import { type Issued, issue } from './steps.ts'

/** Which certificate is requested, for whom, and by which key a retry is known. */
export type CertificateOrder = {
  readonly tenant: string
  readonly request: NewCertificate
  readonly idempotencyKey: string | undefined
}

/** Issues a certificate for a tenant. With an `idempotencyKey` a retry of the same request answers with
 *  the same certificate, whatever happened in between. Throws tenant-unknown, authority-unknown,
 *  certificate-refused (with every violation), idempotency-mismatch, authority-keyless,
 *  quota-exceeded. */
export async function issueCertificate(
  ctx: Context,
  actor: Actor,
  order: CertificateOrder,
): Promise<Certificate> {
  return issueAllowed(ctx, actor, {
    ...order,
    allowed: await checkNewCertificate(ctx, actor, order),
  })
}

/** The same for a request that has been checked. Throws idempotency-mismatch, certificate-refused for
 *  what the lints find, quota-exceeded. */
export async function issueAllowed(
  ctx: Context,
  actor: Actor,
  order: CertificateOrder & { readonly allowed: AllowedRequest },
): Promise<Certificate> {
  const { id, row } = await issueWithinQuota(ctx, actor, {
    ...order.allowed,
    cause: 'requested',
    autoRenew: order.request.autoRenew ?? false,
    labels: order.request.labels ?? {},
    ...requestIdentity(actor, order),
  })
  return row ? certificateView(ctx, row) : getCertificate(ctx, actor, { tenant: order.tenant, id })
}

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
    if (!issued.row || ctx.rehearses) returnOrder(ctx, tenant)
    return issued
  } catch (error) {
    // Anything else may have come after it was stored, and is finished later.
    const refused = error instanceof Problem && error.type !== 'unavailable'
    if (refused || ctx.rehearses) returnOrder(ctx, tenant)
    throw error
  }
}

function requestIdentity(
  actor: Actor,
  { allowed, request, idempotencyKey }: CertificateOrder & { readonly allowed: AllowedRequest },
) {
  if (idempotencyKey === undefined) return {}
  return {
    requestKey: requestDigest(actor.id ?? actor.name, idempotencyKey),
    requestHash: requestDigest(allowed.tenant.id, JSON.stringify(request)),
  }
}

import { isDeepStrictEqual } from 'node:util'
import Value from 'typebox/value'
import { issuingAuthority } from '../../authorities/issuers/current.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { brokenRules } from '../../shared/brokenrules.ts'
import { day } from '../../shared/moment.ts'
import { must } from '../../shared/must.ts'
import { oneOf } from '../../shared/oneof.ts'
import { refuse, type Violation } from '../../shared/problem.ts'
import { DistinguishedName } from '../../shared/schema.ts'
import { policyOf, type TenantRow } from '../../tenants/access.ts'
import { tenantUri } from '../../tenants/uri.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { keyAlgorithms } from '../../x509/keys/public.ts'
import { type RequestIdentity, requestDigest } from '../issuance/idempotency.ts'
import { type CheckedRequest, checkRequest } from '../vetting/check.ts'
import { shortened } from '../vetting/limits.ts'
import { normalizedNames, type ReadRequest, readIssuanceRequest } from '../vetting/request.ts'
import type { PredecessorRow } from './predecessor.ts'

/** Which certificate to renew, and for whose key. */
export type RenewalRequest = {
  readonly tenant: string
  readonly id: string
  /** A new CSR of whoever has the key; left out, a new key is made here. */
  readonly csr: string | undefined
  readonly idempotencyKey: string | undefined
}

/** The same again, held against the rules of today: names, purpose, kind of key and length, the length
 *  within the limits. Throws authority-unknown, authority-keyless, and certificate-refused for a CSR that
 *  asks for something else. */
export async function renewalOrder(
  ctx: Context,
  tenant: TenantRow,
  { row, csr }: { row: PredecessorRow; csr: string | undefined },
): Promise<CheckedRequest> {
  const { name } = must(row.authority, 'what is renewed was issued here')
  const authority = await issuingAuthority(ctx, { name, tenantId: tenant.id })
  const subject = Value.Clean(DistinguishedName, structuredClone(row.subject))
  const read = readIssuanceRequest({
    profile: oneOf(['server', 'client', 'peer'], row.profile),
    subject: Value.Parse(DistinguishedName, subject),
    ...requestedNames(row),
    ...(csr === undefined ? { keyAlgorithm: oneOf(keyAlgorithms, row.keyAlgorithm) } : { csr }),
  })
  refuse('certificate-refused', csrFaults(read, row))
  const request = { ...read, validityDays: daysOf(row) }
  return checkRequest(ctx, { tenant, authority }, shortened(request, authority, policyOf(tenant)))
}

/** The names that were requested: that of the tenant is given anew. */
function requestedNames({ dnsNames, ipAddresses, emailAddresses, uris, tenantId }: PredecessorRow) {
  const own = tenantUri(tenantId)
  const requested = uris.filter((uri) => uri !== own)
  return { dnsNames, ipAddresses, emailAddresses, uris: requested }
}

/** Undefined when its issuer's own end cut it short: nobody asked for that. */
function daysOf({ notBefore, notAfter, issuer }: PredecessorRow): number | undefined {
  if (notAfter.getTime() === issuer?.notAfter.getTime()) return undefined
  return Math.max(1, Math.round((notAfter.getTime() + 1000 - notBefore.getTime()) / day))
}

function csrFaults(
  { spki, subject, names }: ReadRequest,
  row: PredecessorRow,
): readonly Violation[] {
  const faults = brokenRules([
    [
      spki === undefined && row.keySource === 'caller',
      'Its key is with whoever sent its CSR: send a new one',
    ],
    [
      spki !== undefined && row.status === 'revoked' && fingerprintSha256(spki) === row.spkiSha256,
      'A revoked certificate is only replaced for another key: make a new one',
    ],
    [
      !isDeepStrictEqual(names, normalizedNames(requestedNames(row))) ||
        !isDeepStrictEqual({ ...subject }, row.subject),
      'The CSR names more than the certificate does: renewing changes no names, order a new one',
    ],
  ])
  return faults.map((message) => ({ field: '/csr', message }))
}

/** Without a key of the caller's own, a certificate is replaced once, however many ask at a time; once
 *  more when what took its place was revoked. */
export function renewalIdentity(
  actor: Actor,
  row: PredecessorRow,
  { csr, idempotencyKey }: Pick<RenewalRequest, 'csr' | 'idempotencyKey'>,
): RequestIdentity {
  return {
    requestKey:
      idempotencyKey === undefined
        ? requestDigest('renew', row.id, String(row.replacedBy.length))
        : requestDigest(actor.id ?? actor.name, idempotencyKey),
    requestHash: requestDigest('renew', row.id, csr ?? ''),
  }
}

import Type from 'typebox'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { closed, Timestamp } from '../../shared/schema.ts'
import { timestamp } from '../../shared/view.ts'
import { policyOf } from '../../tenants/access.ts'
import { readCertificate } from '../../x509/certificates/read.ts'
import { pastWindow, readRenewalId, renewalWindow } from './info.ts'
import { renewAt, spreadOf } from './rules.ts'

export const RenewalInfo = closed(
  {
    suggestedWindow: closed({ start: Timestamp, end: Timestamp }, { title: 'RenewalWindow' }),
    explanationURL: Type.Optional(Type.String()),
  },
  { title: 'RenewalInfo' },
)
export type RenewalInfo = Type.Static<typeof RenewalInfo>

/** When the holder of a certificate is best to renew it (RFC 9773 4.2): a window in the past when it was
 *  revoked, when its replacement was ordered, and when the key of its issuer was changed. Public.
 *  Throws certificate-unknown, also for what no certificate can be asked for by. */
export async function getRenewalInfo(ctx: Context, text: string): Promise<RenewalInfo> {
  const row = await findRenewable(ctx, text)
  if (!row) throw new Problem('certificate-unknown', 'This key issued no such certificate')
  const { renewBefore } = policyOf(row.tenant)
  const atOnce =
    row.status === 'revoked' || row.replacement !== null || row.issuer?.key.issuers.length === 0
  const { start, end } = atOnce
    ? pastWindow(row)
    : renewalWindow(row, renewAt(row, spreadOf(row.serial), renewBefore))
  const explanationURL = row.replacement?.explanationUrl
  return {
    suggestedWindow: { start: timestamp(start), end: timestamp(end) },
    ...(explanationURL ? { explanationURL } : {}),
  }
}

/** The certificate that renewal information is asked about, by the identifier of RFC 9773 4.1; undefined for what no
 *  certificate has. */
export async function findRenewable(ctx: Context, text: string) {
  const id = readRenewalId(text)
  if (!id) return undefined
  const row = await ctx.db.read.certificate.findUnique({
    where: { serial_uploaded: { serial: id.serial, uploaded: '' } },
    select: {
      ...{ id: true, tenantId: true, authorityId: true, hostId: true },
      ...{ status: true, serial: true, notBefore: true, notAfter: true },
      ...{ dnsNames: true, ipAddresses: true },
      replacedBy: { select: { status: true } },
      tenant: { select: { policy: true } },
      replacement: { select: { explanationUrl: true } },
      issuer: {
        select: {
          der: true,
          key: { select: { issuers: { where: { issues: true }, select: { id: true } } } },
        },
      },
    },
  })
  // Of what others signed, they tell.
  if (!row?.issuer || row.status === 'signing') return undefined
  const { subjectKeyIdentifier } = readCertificate(Buffer.from(row.issuer.der))
  return subjectKeyIdentifier?.toString('hex') === id.keyIdentifier ? row : undefined
}

import Type from 'typebox'
import { differences } from '../audit/differences.ts'
import { record } from '../audit/record.ts'
import type { Actor } from '../core/actor.ts'
import { type Context, inTransaction } from '../core/context.ts'
import { json } from '../core/database/db.ts'
import type { Precondition } from '../core/refusal.ts'
import { brokenRules } from '../shared/brokenrules.ts'
import { Labels } from '../shared/lists/labels.ts'
import { Problem, refuse } from '../shared/problem.ts'
import { closed } from '../shared/schema.ts'
import { accessTenant } from '../tenants/access.ts'
import type { Certificate } from './certificate.ts'
import { getCertificate } from './find.ts'
import { lockCertificate } from './lock.ts'
import { certificateName } from './name.ts'

/** What of a certificate can be changed once it is made. */
export const CertificatePatch = closed(
  {
    autoRenew: Type.Optional(Type.Boolean({ description: 'Replaced by a new one when it is due' })),
    labels: Type.Optional(Labels),
  },
  { title: 'CertificatePatch' },
)
export type CertificatePatch = Type.Static<typeof CertificatePatch>

/** Changes what is named and leaves the rest. The certificate of a host is renewed, and bears labels, as its host
 *  says. The same twice changes nothing. Throws tenant-unknown, certificate-unknown, request-invalid, what
 *  `expected` throws. */
export async function changeCertificate(
  ctx: Context,
  actor: Actor,
  { tenant, id, patch }: { tenant: string; id: string; patch: CertificatePatch },
  expected?: Precondition,
): Promise<Certificate> {
  const owner = await accessTenant(ctx, actor, { name: tenant, permission: 'write-certificates' })
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    await lockCertificate(tx, id)
    const row = await tx.certificate.findFirst({
      where: { id, tenantId: owner.id },
      include: { replacedBy: { where: { status: { not: 'revoked' } }, select: { id: true } } },
    })
    if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
    const within = inTransaction(ctx, tx)
    const before = await getCertificate(within, actor, { tenant, id })
    expected?.(before)
    const { autoRenew = before.autoRenew, labels = before.labels } = patch
    const next = { autoRenew, labels }
    const changed = differences({ autoRenew: before.autoRenew, labels: before.labels }, next)
    if (Object.keys(changed).length === 0) return before
    refuse('request-invalid', faults(row, { ...next, changed: Object.keys(changed) }))
    await tx.certificate.update({
      where: { id },
      data: { autoRenew, labels: json(labels) },
      select: { id: true },
    })
    await record(tx, { actor, now }, 'certificate.changed', {
      subject: { kind: 'certificate', id, name: certificateName(row), tenantId: row.tenantId },
      changes: { serial: row.serial, changed },
    })
    return getCertificate(within, actor, { tenant, id })
  })
}

function faults(
  row: {
    readonly hostId: string | null
    readonly keySource: string
    readonly uploaded: string
    readonly status: string
    readonly replacedBy: readonly unknown[]
  },
  { autoRenew, changed }: { readonly autoRenew: boolean; readonly changed: readonly string[] },
) {
  const renewing = changed.includes('/autoRenew')
  const toBe = renewing && autoRenew
  const labelled = changed.some((field) => field.startsWith('/labels'))
  return [
    ...brokenRules([
      [renewing && row.hostId !== null, 'It is made for a host, which decides: put or remove that'],
      [
        toBe && row.keySource === 'caller',
        'Its key is with whoever sent its CSR: renew it by hand',
      ],
      [
        toBe && row.uploaded !== '',
        'It was uploaded, and no CA here can renew it: upload its successor (replaces)',
      ],
      [toBe && row.status === 'revoked', 'It is revoked'],
      [toBe && row.replacedBy.length > 0, 'Another has taken its place: see replacedBy'],
    ]).map((message) => ({ field: '/autoRenew', message })),
    ...brokenRules([
      [labelled && row.hostId !== null, 'It bears the labels of its host: change those'],
    ]).map((message) => ({ field: '/labels', message })),
  ]
}

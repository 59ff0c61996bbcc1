import { record } from '../audit/record.ts'
import { chainPem } from '../authorities/issuing.ts'
import { type Actor, allow } from '../ground/actor.ts'
import type { Context } from '../ground/context.ts'
import { accessTenant } from '../tenants/access.ts'
import { Problem } from '../words/problem.ts'
import { toPem } from '../x509/pem.ts'
import { nameOf } from './facts.ts'
import { openPrivateKey } from './key.ts'

/** A certificate with its chain in PEM, leaf first and without the root, as servers take it; after it,
 *  if asked for, the private key that was made here. Each download is audited. Throws tenant-unknown,
 *  certificate-unknown, certificate-unfinished, forbidden, key-absent. */
export async function getBundle(
  ctx: Context,
  actor: Actor,
  { tenant, id, privateKey }: { tenant: string; id: string; privateKey: boolean },
): Promise<string> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  if (privateKey) allow(actor, 'read-keys')
  const row = await ctx.db.read.certificate.findFirst({ where: { id, tenantId } })
  if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  if (row.der === null) {
    throw new Problem('certificate-unfinished', 'It is still being signed; ask again in a moment')
  }
  const key = privateKey ? await openPrivateKey(ctx, id) : undefined
  const certificates =
    toPem('CERTIFICATE', Buffer.from(row.der)) + (await chainPem(ctx, row.issuerId))
  await ctx.db.transaction((tx) =>
    record(tx, { actor, now: ctx.now() }, 'certificate.downloaded', {
      subject: { kind: 'certificate', id, name: nameOf(row), tenantId },
      changes: { format: 'pem', privateKey, serial: row.serial },
    }),
  )
  return key ? certificates + toPem('PRIVATE KEY', key) : certificates
}

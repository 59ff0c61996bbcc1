import { record } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { due } from '../core/database/due.ts'
import { Problem } from '../shared/problem.ts'
import { lookAtOrders } from './acme/orders.ts'
import { needTwo } from './approvals/policy.ts'
import { authoritySubject, leavingName } from './authority.ts'
import { type IssuingAuthority, issuingAuthority } from './issuers/current.ts'
import { lockAuthority } from './lock.ts'

/** Removes an authority that nothing needs any more: no tenant, host or authority names it, and
 *  everything that it signed has ended, so that nobody asks for its revocation lists. Its keys go with
 *  it. One that never signed is gone as if it had never been; of one that did, the name stays taken, since
 *  certificates on record name it. Throws authority-unknown, authority-in-use, approval-needed. */
export async function removeAuthority(ctx: Context, actor: Actor, name: string): Promise<void> {
  allowPlatform(actor, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  needTwo(ctx, authority)
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    await lockAuthority(tx, authority)
    const held = await holders(tx, authority, now)
    if (held.length > 0) {
      throw new Problem(
        'authority-in-use',
        `"${name}" is still needed by ${held.join(', ')}: end that first, or retire it (PATCH with "retired": true)`,
      )
    }
    const { id } = authority
    const onRecord = await isOnRecord(tx, id)
    if (authority.kind === 'acme') await leave(tx, { id, name, now, onRecord })
    else if (onRecord) await forget(tx, { id, now })
    else await erase(tx, id)
    await record(tx, { actor, now }, 'authority.removed', {
      subject: authoritySubject(authority),
      changes: { onRecord },
    })
  })
}

type Holder = { readonly what: string; readonly name: string; readonly more: number }

/** What needs the authority, in words: the first of each kind, and how many more there are. */
async function holders(
  tx: Tx,
  { id, name }: IssuingAuthority,
  now: Date,
): Promise<readonly string[]> {
  const found = await tx.$queryRaw<readonly Holder[]>(sql`
    with own as (select "id", "keyId" from issuer where "authorityId" = ${id}::uuid),
    holder as (
      select 'the tenant' as what, "name" from tenant where "defaultAuthorityId" = ${id}::uuid
      union all
      select 'the host', "name" from host
      where "spec" #>> '{certificate,authority}' = ${name}
        or "spec" #>> '{tls,clientAuthority}' = ${name}
      union all
      select 'the authority', "name" from authority
      where "parentId" = ${id}::uuid and "removedAt" is null
      union all
      select 'the authority', authority."name" from issuer
      join authority on authority."id" = issuer."authorityId"
      where issuer."parentId" in (select "id" from own) and authority."id" <> ${id}::uuid
        and issuer."notAfter" >= ${now} and authority."removedAt" is null
      union all
      select 'the certificate', coalesce("dnsNames"[1], "commonName", "serial") from certificate
      where "authorityId" = ${id}::uuid and "notAfter" >= ${now}
    )
    select what, min("name") as name, count(distinct "name")::int - 1 as more from holder
    group by what order by what`)
  return found.map(
    (each) => `${each.what} ${each.name}${each.more > 0 ? ` and ${each.more} more` : ''}`,
  )
}

/** Whether certificates of leaves or of authorities name it as their issuer. */
async function isOnRecord(tx: Tx, id: string): Promise<boolean> {
  const [leaf, below, issued] = [
    await tx.certificate.findFirst({ where: { authorityId: id }, select: { id: true } }),
    await tx.authority.findFirst({ where: { parentId: id }, select: { id: true } }),
    await tx.issuer.findFirst({
      where: { parent: { authorityId: id }, authorityId: { not: id } },
      select: { id: true },
    }),
  ]
  return [leaf, below, issued].some((row) => row !== null)
}

async function erase(tx: Tx, id: string): Promise<void> {
  await tx.rotation.deleteMany({ where: { authorityId: id } })
  const keys = await tx.issuer.findMany({ where: { authorityId: id }, select: { keyId: true } })
  await tx.issuer.updateMany({ where: { authorityId: id }, data: { parentId: null } })
  await tx.issuer.deleteMany({ where: { authorityId: id } })
  const keyIds = keys.map(({ keyId }) => keyId)
  await tx.authorityKey.deleteMany({ where: { id: { in: keyIds } } })
  await tx.authority.delete({ where: { id } })
}

type Left = {
  readonly id: string
  readonly name: string
  readonly now: Date
  readonly onRecord: boolean
}

/** The CA elsewhere is told by a job that the account has ended; its key goes then, and all of it where no certificate
 *  names it: its name is free at once. */
async function leave(tx: Tx, { id, name, now, onRecord }: Left): Promise<void> {
  const leaving = onRecord ? {} : { name: leavingName(name, id) }
  await tx.authority.update({ where: { id }, data: { removedAt: now, retiredAt: now, ...leaving } })
  const data = { state: 'deactivating', failures: 0, retryAt: null }
  await tx.caAccount.update({ where: { authorityId: id }, data })
  await lookAtOrders(tx, id)
  await due(tx, 'ca.account', { authorityId: id })
}

/** Its certificates are kept; what could sign is not, nor what would have it sign again. */
async function forget(tx: Tx, { id, now }: { id: string; now: Date }): Promise<void> {
  const of = { issuers: { some: { authorityId: id } } }
  await tx.authoritySecret.deleteMany({ where: { key: of } })
  await tx.responder.deleteMany({ where: { key: of } })
  await tx.revocationList.deleteMany({ where: { key: of } })
  await tx.rotation.deleteMany({ where: { authorityId: id, step: { not: 'done' } } })
  await tx.authorityKey.updateMany({ where: of, data: { store: 'absent', uri: null } })
  await tx.authority.update({ where: { id }, data: { removedAt: now, retiredAt: now } })
}

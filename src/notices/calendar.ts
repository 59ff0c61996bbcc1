import ical from 'ical-generator'
import type { Actor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { accessTenant } from '../tenants/access.ts'

/** So many of the ends that come next: all of it is written in one go. */
const most = 500

type Row = {
  readonly id: string
  readonly name: string
  readonly serial: string
  readonly notAfter: Date
  readonly createdAt: Date
  readonly autoRenew: boolean
  readonly dnsNames: readonly string[]
}

/** When the tenant's certificates end, as a calendar (RFC 5545), the next 500. A certificate is the same entry
 *  whenever it is asked for; one whose place another has taken is left out. Throws tenant-unknown. */
export async function expiryCalendar(
  ctx: Context,
  actor: Actor,
  { tenant }: { readonly tenant: string },
): Promise<string> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const rows = await ctx.db.read.$queryRaw<readonly Row[]>(sql`
    select item."id"::text, coalesce(item."commonName", item."dnsNames"[1], item."serial") as "name",
      item."serial", item."notAfter", item."createdAt", item."autoRenew", item."dnsNames"
    from certificate item left join host on host."id" = item."hostId"
    where item."tenantId" = ${id}::uuid and item."notAfter" > ${ctx.now()}::timestamptz
      and item."status" = 'active' and item."cause" <> 'probe'
      and not exists (select from certificate other
        where other."replacesId" = item."id" and other."status" = 'active')
      and (item."hostId" is null or (host."certificateId" = item."id" and host."removedAt" is null))
    order by item."notAfter", item."id" limit ${most}::int`)
  const calendar = ical({
    name: `Certificates of ${tenant}`,
    prodId: { company: 'Gatesmith', product: 'expiries', language: 'EN' },
    ttl: 3600,
  })
  for (const row of rows) {
    const renewed = row.autoRenew ? 'It is renewed by itself.' : 'Nobody renews it.'
    calendar.createEvent({
      id: `${row.id}@gatesmith`,
      stamp: row.createdAt,
      start: row.notAfter,
      summary: `${row.name} ends${row.autoRenew ? '' : ' and is not renewed'}`,
      description: `${renewed}\nSerial ${row.serial}\n${row.dnsNames.join(', ')}`,
    })
  }
  return calendar.toString()
}

import Type from 'typebox'
import type { Actor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { IdText, pageOf, readCursor } from '../shared/cursor.ts'
import { must } from '../shared/must.ts'
import { Problem } from '../shared/problem.ts'
import { closed, type Page, PageQuery } from '../shared/schema.ts'
import { accessTenant } from '../tenants/access.ts'
import type { Certificate } from './certificate.ts'
import { certificatesByIds } from './find.ts'

export const LineageQuery = closed({
  ...PageQuery.properties,
  towards: Type.Optional(
    Type.Enum(['older', 'newer'], {
      title: 'LineageDirection',
      description:
        'older (the default): the certificate itself, then what it replaced, and so on; newer: itself, then what took its place, and so on',
    }),
  ),
})
export type LineageQuery = Type.Static<typeof LineageQuery>

const Place = Type.Tuple([IdText])

/** A certificate and those before it, or after it, one after the other. A page costs the same wherever it is: it is
 *  walked from where the one before ended. Throws tenant-unknown, certificate-unknown, cursor-refused. */
export async function certificateLineage(
  ctx: Context,
  actor: Actor,
  {
    tenant,
    id,
    towards = 'older',
    limit = 50,
    cursor,
  }: LineageQuery & { tenant: string; id: string },
): Promise<Page<Certificate>> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const where = { id, tenantId }
  const found = await ctx.db.read.certificate.findFirst({ where, select: { id: true } })
  if (!found) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  const [last] = cursor === undefined ? [] : readCursor(cursor, Place)
  const walked = last === undefined ? limit : limit + 1
  // Of several that took its place the newest counts, as in `replacedBy`: those before it were revoked.
  const next =
    towards === 'older'
      ? sql`select one."id" from certificate one where one."id" = line."replacesId"`
      : sql`select one."id" from certificate one where one."replacesId" = line."id"
          order by one."createdAt" desc limit 1`
  const rows = await ctx.db.read.$queryRaw<readonly { readonly id: string }[]>(sql`
    with recursive line as (
      select "id", "replacesId", 0 as place from certificate
      where "id" = ${last ?? id}::uuid and "tenantId" = ${tenantId}::uuid
      union all
      select following."id", following."replacesId", line.place + 1
      from line cross join lateral (${next}) one
      join certificate following on following."id" = one."id"
      where line.place < ${walked}::int and following."tenantId" = ${tenantId}::uuid
    )
    select "id"::text as id from line order by place`)
  const shown = last === undefined ? rows : rows.slice(1)
  const ids = shown.slice(0, limit).map((row) => row.id)
  const known = new Map(
    (await certificatesByIds(ctx, actor, ids)).map(({ hostId: _, ...one }) => [one.id, one]),
  )
  return pageOf(shown, limit, {
    key: (row) => [row.id],
    item: (row) => must(known.get(row.id), 'a certificate of a lineage was not read'),
  })
}

import Type from 'typebox'
import type { Actor } from '../../core/actor.ts'
import { cachedFor } from '../../core/cache.ts'
import type { Context } from '../../core/context.ts'
import { emptySql, sql } from '../../core/database/db.ts'
import { closed, KeyAlgorithm, Name, nullable, Timestamp } from '../../shared/schema.ts'
import { shown, timestampOrNull } from '../../shared/view.ts'
import { tenantIdOf } from './expiries.ts'

/** What there is of one authority with keys of one kind. */
export const Inventory = closed(
  {
    authority: nullable(Name, 'Who signed them; null: they were uploaded'),
    keyAlgorithm: KeyAlgorithm,
    keyType: Type.String({ description: 'RSA, ECDSA or ED25519' }),
    keySize: Type.Integer({ description: 'Bits' }),
    active: Type.Integer({ description: 'Those that are good now' }),
    expired: Type.Integer({ description: 'Those that have ended' }),
    revoked: Type.Integer({
      description: 'Those that were revoked, whether they have ended or not',
    }),
    soonestEnd: nullable(Timestamp, 'When the first of those that are good ends; null: none is'),
  },
  { title: 'Inventory', description: 'What there is of one authority with keys of one kind' },
)
export type Inventory = Type.Static<typeof Inventory>

/** How many certificates there are by authority, algorithm and size of their keys. Of the whole platform as it was
 *  ten seconds ago at most. A tenant's API key is told of its own. Throws forbidden, tenant-unknown. */
export async function inventory(
  ctx: Context,
  actor: Actor,
  { tenant, authority }: { readonly tenant?: string; readonly authority?: string },
): Promise<readonly Inventory[]> {
  const tenantId = await tenantIdOf(ctx, actor, tenant)
  const all = tenantId === null ? await ofAll(ctx, 'all') : await counted(ctx, tenantId)
  return all.filter((each) => authority === undefined || each.authority === authority)
}

/** It reads every certificate there is. */
const ofAll = cachedFor(10_000, (ctx) => counted(ctx, null))

async function counted(ctx: Context, tenantId: string | null): Promise<readonly Inventory[]> {
  const now = ctx.now()
  const own = tenantId === null ? emptySql : sql`and "tenantId" = ${tenantId}::uuid`
  const rows = await ctx.db.rows<Row>(sql`
    select authority."name" as "authority", counted.* from (
      select "authorityId", "keyAlgorithm",
        (count(*) filter (where "status" = 'active' and "notAfter" >= ${now}::timestamptz))::int as "active",
        (count(*) filter (where "status" = 'active' and "notAfter" < ${now}::timestamptz))::int as "expired",
        (count(*) filter (where "status" = 'revoked'))::int as "revoked",
        min("notAfter") filter (where "status" = 'active' and "notAfter" >= ${now}::timestamptz) as "soonestEnd"
      from certificate where "cause" <> 'probe' and "status" <> 'signing' ${own}
      group by "authorityId", "keyAlgorithm"
    ) as counted left join authority on authority."id" = counted."authorityId"
    order by authority."name" nulls last, authority."id", counted."keyAlgorithm"`)
  return rows.map(({ authority, keyAlgorithm, active, expired, revoked, soonestEnd }) =>
    shown(Inventory, {
      ...{ authority, keyAlgorithm, ...keyKindOf(keyAlgorithm) },
      ...{ active, expired, revoked, soonestEnd: timestampOrNull(soonestEnd) },
    }),
  )
}

type Row = Omit<Inventory, 'soonestEnd' | 'keyAlgorithm' | 'keyType' | 'keySize'> & {
  readonly keyAlgorithm: string
  readonly soonestEnd: Date | null
}

/** The kind and the size that the name of an algorithm holds: ECDSA_P256, RSA_2048; a key of Ed25519 has 256 bits. */
function keyKindOf(algorithm: string) {
  const [keyType = algorithm, size = '256'] = algorithm.split('_')
  return { keyType, keySize: Number(size.replace(/^P/, '')) }
}

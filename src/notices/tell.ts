import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { dueMany } from '../core/database/due.ts'
import type { NoticeType, Payload } from './receiver.ts'

/** Something that receivers are to be told of. */
export type News = {
  /** What and which crossing of it: a receiver is told of it once. */
  readonly key: string
  readonly type: NoticeType
  readonly tenantId: string | null
  /** When it came to be so: who was made a receiver later is not told. */
  readonly since: Date
  readonly data: Payload['data']
}

/** Notes this down for each receiver that is to be told of it and was not yet, and makes sending due, in one
 *  transaction: those of the tenant, and those of the platform. Answers how many notices that is. */
export async function tell(ctx: Context, news: readonly News[]): Promise<number> {
  if (news.length === 0) return 0
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    const made = await note(tx, now, news)
    await dueMany(tx, 'notice.send', made)
    return made.length
  })
}

type Made = { readonly noticeId: string; readonly receiverId: string }

function note(tx: Tx, now: Date, news: readonly News[]): Promise<readonly Made[]> {
  const items = news.map(({ data, ...rest }) => ({
    ...rest,
    payload: { type: rest.type, timestamp: rest.since.toISOString(), data },
  }))
  return tx.$queryRaw<readonly Made[]>(sql`
    insert into notice ("id", "receiverId", "key", "type", "payload", "status", "createdAt", "dueAt")
    select gen_random_uuid(), receiver."id", item."key", item."type", item."payload", 'pending',
      ${now}::timestamptz, ${now}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(items)}::jsonb) as item
      ("key" text, "type" text, "tenantId" uuid, "since" timestamptz, "payload" jsonb)
    join receiver on item."type" = any(receiver."events") and item."since" >= receiver."createdAt"
      and (receiver."tenantId" is null or receiver."tenantId" = item."tenantId")
    order by item."key", receiver."id"
    on conflict ("receiverId", "key") do nothing
    returning "id"::text as "noticeId", "receiverId"::text`)
}

import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { type Event, idOf, positionOf } from '../events/event.ts'
import { eventsAfter, isLost, presentPosition } from '../events/find.ts'
import { day } from '../shared/moment.ts'
import { failingAccounts } from './accounts.ts'
import { endingAuthorities, endingCertificates, endingLists } from './endings.ts'
import type { NoticeType } from './receiver.ts'
import { type News, tell } from './tell.ts'
import { thresholds } from './thresholds.ts'

/** Looks for what receivers are to be told of, from where the last turn ended. A turn that is cut short is done
 *  again, and whoever was told is not told again. Answers how many notices were made. */
export async function sweepNotices(ctx: Context): Promise<number> {
  const ends = await endings(ctx)
  const lists = await tell(ctx, await endingLists(ctx))
  const accounts = await tell(ctx, await failingAccounts(ctx))
  return ends + lists + accounts + (await happenings(ctx))
}

/** So much time at most is looked through at once, so that an outage of any length is caught up in steps. */
const step = day

async function endings(ctx: Context): Promise<number> {
  const now = ctx.now()
  let made = 0
  let from = new Date(await cursor(ctx, 'ends', now.toISOString()))
  while (from < now) {
    const to = new Date(Math.min(from.getTime() + step, now.getTime()))
    for (const days of thresholds) {
      const within = {
        from: new Date(from.getTime() + days * day),
        to: new Date(to.getTime() + days * day),
      }
      for await (const news of endingCertificates(ctx, within)) made += await tell(ctx, news)
      made += await tell(ctx, await endingAuthorities(ctx, within))
    }
    await moveCursor(ctx, 'ends', to.toISOString())
    from = to
  }
  return made
}

const batchSize = 500

/** What was told as an event, and receivers are to hear of. */
async function happenings(ctx: Context): Promise<number> {
  const present = idOf(await presentPosition(ctx))
  const at = positionOf(await cursor(ctx, 'events', present))
  // Of what is no longer kept nobody can be told.
  let position = at && !(await isLost(ctx, at)) ? at : (positionOf('0-0') ?? at)
  let made = 0
  for (;;) {
    if (!position) return made
    const whose = { tenantId: null }
    const events = await eventsAfter(ctx, whose, {
      position,
      limit: batchSize,
      types: worthTelling,
    })
    const news = events.flatMap((event) => newsOf(event) ?? [])
    made += await tell(ctx, await withTenants(ctx, news))
    const last = events.at(-1)
    const next = events.length < batchSize ? present : (last?.id ?? present)
    await moveCursor(ctx, 'events', next)
    if (events.length < batchSize) return made
    position = positionOf(next)
  }
}

const worthTelling = [
  'certificate.revoked',
  'certificate.renewal-failed',
  'host.status',
  'delivery.status',
] as const

type Happening = Omit<News, 'tenantId'> & { readonly tenant: string | null }

function newsOf({ id, type, at, tenant, subject, data }: Event): Happening | undefined {
  const found = noticeOf(type, data)
  if (!found) return undefined
  const summary = `${subject.kind} ${subject.name}: ${found.said}`
  return {
    key: `event/${id}`,
    type: found.type,
    tenant,
    since: new Date(at),
    data: { tenant, subject, summary, ...data },
  }
}

function noticeOf(
  type: string,
  data: Event['data'],
): { readonly type: NoticeType; readonly said: string } | undefined {
  if (type === 'certificate.revoked') {
    return {
      type: 'certificate.revoked',
      said: `revoked (${data.reason ?? 'no reason was given'})`,
    }
  }
  if (type === 'certificate.renewal-failed') {
    // It is tried again and again; that it has begun to fail is told.
    return data.failures === 1
      ? { type: 'certificate.renewal-failed', said: `renewal failed: ${data.error}` }
      : undefined
  }
  const failed = data.status === 'Failed' || data.status === 'Conflict'
  return failed && data.wanted === true
    ? {
        type: 'delivery.failed',
        said: `${data.status} on ${data.cluster}: ${data.message ?? 'nothing more is known'}`,
      }
    : undefined
}

async function withTenants(ctx: Context, happenings: readonly Happening[]): Promise<News[]> {
  const names = [...new Set(happenings.flatMap(({ tenant }) => tenant ?? []))]
  const rows = await ctx.db.read.tenant.findMany({
    where: { name: { in: names } },
    select: { id: true, name: true },
  })
  const ids = new Map(rows.map(({ id, name }) => [name, id]))
  return happenings.map(({ tenant, ...rest }) => ({
    ...rest,
    tenantId: tenant === null ? null : (ids.get(tenant) ?? null),
  }))
}

/** Up to where all was looked through; at first to where it is now. */
async function cursor(ctx: Context, what: string, first: string): Promise<string> {
  const [row] = await ctx.db.read.$queryRaw<readonly { readonly position: string }[]>(sql`
    insert into notice_cursor ("what", "position") values (${what}, ${first})
    on conflict ("what") do update set "what" = excluded."what" returning "position"`)
  return row?.position ?? first
}

function moveCursor(ctx: Context, what: string, position: string) {
  return ctx.db.read.noticeCursor.update({ where: { what }, data: { position } })
}

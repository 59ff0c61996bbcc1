import Type from 'typebox'
import { type Actor, allow } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { pageOf, readCursor, SequenceKey } from '../../shared/cursor.ts'
import { Problem } from '../../shared/problem.ts'
import { closed, Name } from '../../shared/schema.ts'
import { type AuditRow, auditedTenant, chainEntryOf } from '../find.ts'
import { type LogKey, readCheckpoint, verifierKey } from './checkpoint.ts'
import { entryHash, linkHash, platformChain, startOf } from './hash.ts'
import { settling } from './link.ts'
import { edgeFrom, grown, merkleRoot } from './tree.ts'

export const VerifyQuery = closed({
  tenant: Type.Optional(Name),
  cursor: Type.Optional(Type.String({ maxLength: 512 })),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 50,
      description: 'Checkpoints, each of up to a thousand events',
    }),
  ),
})
export type VerifyQuery = Readonly<Type.Static<typeof VerifyQuery>>

/** What is wrong with an event or with the log. */
const Fault = closed(
  {
    kind: Type.Enum(['changed', 'removed', 'inserted', 'reordered', 'back-dated', 'log'], {
      title: 'AuditFaultKind',
    }),
    seq: Type.Union([Type.String(), Type.Null()]),
    message: Type.String(),
  },
  { title: 'AuditFault' },
)
type Fault = Type.Static<typeof Fault>

export const AuditVerification = closed(
  {
    valid: Type.Boolean({ description: 'Nothing is wrong with what was looked at' }),
    events: Type.Integer({ description: 'How many were looked at' }),
    faults: Type.Array(Fault, { description: 'The first hundred' }),
    checkpoint: Type.Union([Type.String(), Type.Null()], {
      description: 'The last signed checkpoint that was looked at (C2SP tlog-checkpoint)',
    }),
    key: Type.Union([Type.String(), Type.Null()], {
      description: 'Whom it is signed by, as verifiers of notes take it',
    }),
    unlinked: Type.Integer({ description: 'New events that no checkpoint holds yet' }),
    nextCursor: Type.Union([Type.String(), Type.Null()]),
  },
  { title: 'AuditVerification' },
)
export type AuditVerification = Type.Static<typeof AuditVerification>

const mostFaults = 100
/** How much earlier than one before it an event may be: clocks of replicas differ. */
const toleranceMilliseconds = 10 * 60_000

/** Looks whether the audit trail is as it was written: each event against its place in its chain, the chains
 *  against the signed checkpoints, and whether events are there that no chain knows; from the oldest
 *  checkpoint on, or from that of the cursor. A tenant's API key has its own events looked at. Throws
 *  forbidden, tenant-unknown, cursor-refused. */
export async function verifyAuditTrail(
  ctx: Context,
  actor: Actor,
  { tenant, cursor, limit = 50 }: VerifyQuery,
): Promise<AuditVerification> {
  allow(actor, 'read-audit')
  const tenantId = await auditedTenant(ctx, actor, tenant)
  const from = cursor === undefined ? 0n : BigInt(readCursor(cursor, SequenceKey)[0])
  const before = await startAt(ctx, from)
  const rows = await ctx.db.read.auditCheckpoint.findMany({
    where: { size: { gt: from } },
    orderBy: { size: 'asc' },
    take: limit + 1,
    include: { key: { select: { origin: true, publicKey: true } } },
  })
  const page = pageOf(rows, limit, { key: ({ size }) => [String(size)], item: (row) => row })
  const faults: Fault[] = []
  let events = 0
  let last = before
  for (const checkpoint of page.items) {
    const found = await verifyStep(ctx, { last, checkpoint, tenantId })
    events += found.events
    faults.push(...found.faults)
    last = checkpoint
  }
  const end = page.items.at(-1)
  return {
    valid: faults.length === 0,
    events,
    faults: faults.slice(0, mostFaults),
    checkpoint: end?.note ?? null,
    key: end ? verifierKey(keyOf(end)) : null,
    unlinked: await countUnlinked(ctx, tenantId),
    nextCursor: page.nextCursor,
  }
}

/** The last signed checkpoint, as a note. Throws checkpoint-unknown before there is one. */
export async function latestCheckpoint(ctx: Context, actor: Actor): Promise<string> {
  allow(actor, 'read-audit')
  const row = await ctx.db.read.auditCheckpoint.findFirst({
    orderBy: { size: 'desc' },
    select: { note: true },
  })
  if (!row) throw new Problem('checkpoint-unknown', 'The first one is made within a minute')
  return row.note
}

type Place = { readonly size: bigint; readonly upTo: bigint; readonly edge: Uint8Array }
type CheckpointRow = Place & {
  readonly at: Date
  readonly note: string
  readonly key: { readonly origin: string; readonly publicKey: Uint8Array }
}

async function startAt(ctx: Context, size: bigint): Promise<Place> {
  if (size === 0n) return { size, upTo: 0n, edge: new Uint8Array() }
  const row = await ctx.db.read.auditCheckpoint.findUnique({ where: { size } })
  if (!row) {
    throw new Problem('cursor-refused', 'Pass nextCursor of the page before, or leave cursor out')
  }
  return row
}

function keyOf({ key: { origin, publicKey } }: CheckpointRow): LogKey {
  return { origin, publicKey: Buffer.from(publicKey) }
}

async function verifyStep(
  ctx: Context,
  step: {
    readonly last: Place
    readonly checkpoint: CheckpointRow
    readonly tenantId: string | null
  },
): Promise<{ readonly events: number; readonly faults: readonly Fault[] }> {
  const { last, checkpoint, tenantId } = step
  const links = await ctx.db.read.auditLink.findMany({
    where: { index: { gte: last.size, lt: checkpoint.size } },
    orderBy: { index: 'asc' },
  })
  const own = links.filter(({ chain }) => tenantId === null || chain === tenantId)
  const events = await ctx.db.read.auditEvent.findMany({
    where: { seq: { in: own.map(({ seq }) => seq) } },
  })
  return {
    events: own.length,
    faults: [
      ...logFaults(last, checkpoint, links),
      ...(await linkFaults(ctx, own, new Map(events.map((event) => [event.seq, event])))),
      ...(await insertedFaults(ctx, step)),
    ],
  }
}

type Link = {
  readonly seq: bigint
  readonly chain: string
  readonly position: bigint
  readonly hash: Uint8Array
}

/** The links must be the leaves of the tree that was signed. */
function logFaults(
  last: Place,
  checkpoint: CheckpointRow,
  links: readonly Link[],
): readonly Fault[] {
  const leaves = links.map(({ hash }) => Buffer.from(hash))
  const root = merkleRoot(grown(edgeFrom(last.edge), last.size, leaves))
  const said = readCheckpoint(checkpoint.note, keyOf(checkpoint))
  const where = `The checkpoint of ${checkpoint.size} links`
  if (!said) return [fault('log', null, `${where} was not signed by the key of the log`)]
  const whole = BigInt(links.length) === checkpoint.size - last.size
  if (said.size === checkpoint.size && whole && root.equals(said.root)) return []
  const range = `${last.size} to ${checkpoint.size - 1n}`
  return [fault('log', null, `The links ${range} are not those that were signed`)]
}

async function linkFaults(
  ctx: Context,
  links: readonly Link[],
  events: ReadonlyMap<bigint, AuditRow>,
): Promise<readonly Fault[]> {
  const previous = await hashesBefore(ctx, links)
  const latest = new Map<string, Date>()
  const faults: Fault[] = []
  const wrong = links.filter((link) => {
    const event = events.get(link.seq)
    return event && !matchesLink(event, link, previous)
  })
  for (const link of links) {
    const event = events.get(link.seq)
    const seq = String(link.seq)
    if (!event) {
      faults.push(fault('removed', seq, `Event ${seq} was removed`))
      continue
    }
    if (wrong.includes(link)) faults.push(wrongFault(link, wrong, events, previous))
    const before = latest.get(link.chain)
    if (before && before.getTime() - event.at.getTime() > toleranceMilliseconds) {
      const message = `Event ${seq} says that it happened before those that were recorded before it`
      faults.push(fault('back-dated', seq, message))
    } else latest.set(link.chain, event.at)
  }
  return faults
}

/** An event that is right in another one's place was moved; all else was changed. */
function wrongFault(
  link: Link,
  wrong: readonly Link[],
  events: ReadonlyMap<bigint, AuditRow>,
  previous: ReadonlyMap<bigint, Buffer>,
): Fault {
  const seq = String(link.seq)
  const moved = wrong.slice(0, mostFaults).find(({ seq: other }) => {
    const event = events.get(other)
    return event && other !== link.seq && matchesLink({ ...event, seq: link.seq }, link, previous)
  })
  return moved
    ? fault('reordered', seq, `What event ${seq} told stands in event ${moved.seq} now`)
    : fault('changed', seq, `Event ${seq} was changed`)
}

function matchesLink(event: AuditRow, link: Link, previous: ReadonlyMap<bigint, Buffer>): boolean {
  const before = previous.get(link.seq)
  const own = (event.tenantId ?? platformChain) === link.chain
  return (
    own &&
    before !== undefined &&
    linkHash(before, entryHash(chainEntryOf(event))).equals(link.hash)
  )
}

/** The hash before each link, by its seq: that of the link before it in its chain. */
async function hashesBefore(
  ctx: Context,
  links: readonly Link[],
): Promise<ReadonlyMap<bigint, Buffer>> {
  const rows = await ctx.db.read.$queryRaw<
    readonly { readonly seq: bigint; readonly hash: Uint8Array | null }[]
  >(sql`
    select link."seq", before."hash" from audit_link link
    left join audit_link before on before."chain" = link."chain"
      and before."position" = link."position" - 1
    where link."seq" = any(${links.map(({ seq }) => seq)}::bigint[])`)
  const hashes = new Map(rows.map(({ seq, hash }) => [seq, hash && Buffer.from(hash)]))
  return new Map(
    links.flatMap(({ seq, chain, position }) => {
      const hash = position === 1n ? startOf(chain) : hashes.get(seq)
      return hash ? [[seq, hash] as const] : []
    }),
  )
}

/** Events that no chain knows although there was time enough. */
async function insertedFaults(
  ctx: Context,
  {
    last,
    checkpoint,
    tenantId,
  }: { readonly last: Place; readonly checkpoint: CheckpointRow; readonly tenantId: string | null },
): Promise<readonly Fault[]> {
  if (ctx.now().getTime() - checkpoint.at.getTime() < settling) return []
  const own = tenantId === null ? sql`` : sql`and event."tenantId" = ${tenantId}::uuid`
  const beyond = last.size === 0n ? sql`` : sql`and event."seq" > ${last.upTo}`
  const rows = await ctx.db.read.$queryRaw<readonly { readonly seq: bigint }[]>(sql`
    select event."seq" from audit_event event
    where event."seq" <= ${checkpoint.upTo} ${beyond} ${own}
      and not exists (select from audit_link link where link."seq" = event."seq")
    order by event."seq" limit ${mostFaults}`)
  return rows.map(({ seq }) =>
    fault('inserted', String(seq), `Event ${seq} was put in behind the service's back`),
  )
}

async function countUnlinked(ctx: Context, tenantId: string | null): Promise<number> {
  const last = await ctx.db.read.auditCheckpoint.findFirst({ orderBy: { size: 'desc' } })
  return ctx.db.read.auditEvent.count({
    where: { seq: { gt: last?.upTo ?? 0n }, ...(tenantId === null ? {} : { tenantId }) },
  })
}

function fault(kind: Fault['kind'], seq: string | null, message: string): Fault {
  return { kind, seq, message }
}

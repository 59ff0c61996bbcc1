import { record } from '../../audit/record.ts'
import { holdSilent } from '../../clusters/silence.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { batched } from '../../core/database/batch.ts'
import { joinSql, rawSql, sql, type Tx } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'
import { oncePer } from '../../core/onceper.ts'
import { type Trace, traceHere } from '../../core/tracing.ts'
import { hostLock, lock } from '../../hosts/lock.ts'
import { releaseNames } from '../../hosts/names.ts'
import type { PlacementRow } from '../gather.ts'

type Told = 'host.repaired' | 'host.drifted'
type Changes = Parameters<typeof record>[3]['changes']

/** What becomes of a placement. */
export type Change = {
  readonly placement: PlacementRow
  /** Its columns that change, as JSON. */
  readonly columns: Readonly<Partial<Record<Column, unknown>>>
  /** Others may have the names that are no longer asked for. */
  readonly releases?: boolean
  /** What is due next, and when. */
  readonly due?: readonly { readonly kind: DueKind; readonly at: Date }[]
  /** For the audit trail. */
  readonly events?: readonly { readonly action: Told; readonly changes: Changes }[]
  /** This holds only while the cluster is silent: where it has come back, the next push is due instead. */
  readonly silent?: boolean
}

type DueKind = 'placement.push' | 'placement.look' | 'placement.confirm'

const columns = [
  ...['status', 'message', 'since', 'warnings', 'proofWarnings', 'generation', 'certificateId'],
  ...['trust', 'appliedAt', 'appliedTrust', 'served', 'provedAt', 'holdsUntil', 'conditions'],
  ...['objects', 'drift', 'repairs', 'takeBack'],
] as const
type Column = (typeof columns)[number]

/** What is to be on the cluster from here on, and how the host may be served. */
export type StoredIntent = {
  readonly id: string
  readonly objects: unknown
  readonly served: unknown
}

/** Stores an intent before anything of it is on the cluster; those of one moment by one statement. */
export const storeIntent: (ctx: Context) => (intent: StoredIntent) => Promise<true> = oncePer(
  (ctx) =>
    batched(
      async (intents: readonly StoredIntent[]) => {
        await ctx.db.statement(
          `update placement set "objects" = item."objects", "served" = item."served"
         from jsonb_to_recordset($1::jsonb) as item ("id" uuid, "objects" jsonb, "served" jsonb)
         where placement."id" = item."id"`,
          [JSON.stringify(intents)],
        )
        return intents.map(() => true as const)
      },
      { size: 64, lanes: 2 },
    ),
)

/** Stores a change, unless the host is wanted otherwise by now: whoever changed it has made the next push due.
 *  What ends at about one time is stored by one transaction. */
export async function store(ctx: Context, change: Change): Promise<void> {
  const error = await storing(ctx)({ ...change, trace: traceHere() })
  if (error !== null) throw error.cause
}

const storing = oncePer((ctx) =>
  batched((changes: readonly Asked<Change>[]) => storeAll(ctx, changes), {
    ...{ size: 64, lanes: 1, milliseconds: 100 },
  }),
)

/** With the trace in which it was asked for: what is stored together is asked for in many. */
type Asked<What> = What & { readonly trace: Trace | undefined }

/** Answers why each of these could not be stored: one of them keeps none of the others. */
async function storeAll(
  ctx: Context,
  changes: readonly Asked<Change>[],
): Promise<readonly (Error | null)[]> {
  const ids = new Set(changes.map(({ placement }) => placement.id))
  if (ids.size === changes.length) {
    const error = await tried(ctx, changes)
    if (error === null || changes.length === 1) return changes.map(() => error)
  }
  const errors: (Error | null)[] = []
  for (const change of changes) errors.push(await tried(ctx, [change]))
  return errors
}

async function tried(ctx: Context, changes: readonly Asked<Change>[]): Promise<Error | null> {
  try {
    await ctx.db.transaction((tx) => storeIn(tx, changes, ctx.now()))
    return null
  } catch (cause) {
    return new Error('what became of a placement could not be stored', { cause })
  }
}

async function storeIn(tx: Tx, all: readonly Asked<Change>[], now: Date): Promise<void> {
  const current = await heldAsPushed(tx, all)
  const changes: Change[] = []
  const dues = new Map<string, Due>()
  for (const change of all) {
    const { placement, silent, trace } = change
    if (!current.has(placement.id)) continue
    // What waits for a cluster that has come back was told before this was stored.
    const back = silent === true && !(await holdSilent(tx, placement.clusterId))
    if (back) addDue(dues, placement, { kind: 'placement.push', at: now, trace })
    else {
      changes.push(change)
      for (const { kind, at } of change.due ?? []) {
        addDue(dues, placement, { kind, at: rounded(at, now), trace })
      }
    }
  }
  await update(tx, changes)
  const released = changes.filter(({ releases }) => releases).map(({ placement }) => placement.id)
  if (released.length > 0) await releaseNames(tx, released)
  for (const { kind, at, keys } of dues.values()) await dueMany(tx, kind, keys, { at })
  for (const change of changes) await tell(tx, change, now)
}

type Due = {
  readonly kind: DueKind
  readonly at: Date
  readonly keys: Asked<{ readonly placementId: string; readonly clusterId: string }>[]
}

function addDue(
  dues: Map<string, Due>,
  { id, clusterId }: Next['placement'],
  { kind, at, trace }: Asked<{ readonly kind: DueKind; readonly at: Date }>,
): void {
  const name = `${kind} ${at.getTime()}`
  const known = dues.get(name) ?? { kind, at, keys: [] }
  known.keys.push({ placementId: id, clusterId, trace })
  dues.set(name, known)
}

async function update(tx: Tx, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return
  const items = changes.map((change) => ({ id: change.placement.id, columns: change.columns }))
  await tx.$executeRaw(sql`
    update placement set (${names}) = (
      select ${names} from jsonb_populate_record(placement, item."columns"))
    from jsonb_to_recordset(${JSON.stringify(items)}::jsonb) as item ("id" uuid, "columns" jsonb)
    where placement."id" = item."id"`)
}

const names = joinSql(columns.map((column) => rawSql(`"${column}"`)))

async function tell(tx: Tx, { placement, events = [] }: Change, now: Date): Promise<void> {
  const { host } = placement
  const subject = { kind: 'host', id: host.id, name: host.name, tenantId: host.tenantId } as const
  for (const { action, changes } of events) {
    await record(tx, { actor: systemActor('placement.push'), now }, action, { subject, changes })
  }
}

type Next = {
  readonly kind: DueKind
  readonly placement: Pick<PlacementRow, 'id' | 'clusterId'>
  readonly at: Date
}

/** Makes something due of a placement; what is asked for at about one time by one statement, and what is due at
 *  about one time at one. */
export function dueNext(ctx: Context, next: Next): Promise<true> {
  return makingDue(ctx)({ ...next, trace: traceHere() })
}

const makingDue = oncePer((ctx) =>
  batched(
    async (all: readonly Asked<Next>[]) => {
      const dues = new Map<string, Due>()
      const now = ctx.now()
      for (const { kind, placement, at, trace } of all) {
        addDue(dues, placement, { kind, at: rounded(at, now), trace })
      }
      await ctx.db.transaction(async (tx) => {
        for (const { kind, at, keys } of dues.values()) await dueMany(tx, kind, keys, { at })
      })
      return all.map(() => true as const)
    },
    { size: 200, lanes: 1, milliseconds: 100 },
  ),
)

const roundMilliseconds = 100

/** What is due by now is due now, and what is due at about one time is due at one: it is told by one statement. */
function rounded(at: Date, now: Date): Date {
  if (at <= now) return now
  return new Date(Math.ceil(at.getTime() / roundMilliseconds) * roundMilliseconds)
}

/** Holds the hosts until the transaction ends, so that no changes are under way then; answers the placements
 *  that are still wanted as they were pushed. */
async function heldAsPushed(tx: Tx, changes: readonly Change[]): Promise<ReadonlySet<string>> {
  await lock(
    tx,
    changes.map(({ placement }) => hostLock(placement.host)),
  )
  const items = changes.map(({ placement: { id, host } }) => ({
    id,
    generation: host.generation,
    certificateId: host.certificateId,
  }))
  // Renewal takes no lock but the row's.
  const rows = await tx.$queryRaw<readonly { readonly id: string }[]>(sql`
    select placement."id"::text
    from jsonb_to_recordset(${JSON.stringify(items)}::jsonb)
      as item ("id" uuid, "generation" int, "certificateId" uuid)
    join placement on placement."id" = item."id" and placement."wanted"
    join host on host."id" = placement."hostId" and host."generation" = item."generation"
      and host."certificateId" is not distinct from item."certificateId"
      and host."removedAt" is null
    order by host."id" for update of host`)
  return new Set(rows.map(({ id }) => id))
}

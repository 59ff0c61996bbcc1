import { X509Certificate } from 'node:crypto'
import { record } from '../../audit/record.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { hour } from '../../shared/moment.ts'
import { must } from '../../shared/must.ts'
import { certificateName } from '../name.ts'
import { recordMismatches } from './mismatches.ts'

/** How many certificates are read at a time. */
const page = 100

/** All old certificates are read again within so many nights. */
const nights = 30

/** Ids say when they were made (UUID v7). Processes' clocks differ, and a certificate that was still
 *  being signed last time is passed over: so much is read once more. */
const overlap = hour

const actor = systemActor('certificates.recheck')

/** What a run did. */
export type Rechecked = { readonly read: number; readonly findings: number }

/** Reads issued certificates again and holds them against their rows: all that are new since the last
 *  run, then a share of the old. Each finding is logged as an error, and told of once in the audit
 *  trail. Cut short, the next run goes on from the last page. */
export async function recheckCertificates(ctx: Context): Promise<Rechecked> {
  const { newest, rolling } = await progressOf(ctx)
  const fresh = await readOn(ctx, {
    from: newest === null ? null : before(newest),
    most: Number.POSITIVE_INFINITY,
    reached: (newest) => keep(ctx, { newest }),
  })
  const all = await ctx.db.read.certificate.count()
  const old = await readOn(ctx, {
    from: rolling,
    most: newest === null ? 0 : Math.ceil(all / nights),
    reached: (rolling) => keep(ctx, { rolling }),
  })
  // At the end of all there is, the next run begins anew.
  if (old.ended) await keep(ctx, { rolling: null })
  const read = fresh.read + old.read
  const findings = fresh.findings + old.findings
  ctx.log.info({ read, findings }, 'certificates were held against their rows')
  return { read, findings }
}

async function progressOf(ctx: Context) {
  const row = await ctx.db.read.recheck.findUnique({ where: { what: 'certificates' } })
  return row ?? { newest: null, rolling: null }
}

async function keep(
  ctx: Context,
  progress: { newest: string } | { rolling: string | null },
): Promise<void> {
  const what = 'certificates'
  await ctx.db.transaction((tx) =>
    tx.recheck.upsert({ where: { what }, update: progress, create: { what, ...progress } }),
  )
}

/** The least id that can have been made an `overlap` before this one. */
function before(id: string): string {
  const made = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
  const time = (made - overlap).toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000`
}

type Walk = {
  /** Read what comes after this id; null: from the first. */
  readonly from: string | null
  readonly most: number
  /** Told of the last id of each page. */
  readonly reached: (id: string) => Promise<void>
}

async function readOn(ctx: Context, { from, most, reached }: Walk) {
  const issuers = new Map<string, X509Certificate>()
  let [read, findings, after] = [0, 0, from]
  while (read < most) {
    const rows = await rowsAfter(ctx, after, Math.min(page, most - read))
    for (const row of rows) findings += (await isAsRecorded(ctx, row, issuers)) ? 0 : 1
    const last = rows.at(-1)
    if (!last) return { read, findings, ended: true }
    after = last.id
    read += rows.length
    await reached(after)
  }
  return { read, findings, ended: false }
}

type Row = Awaited<ReturnType<typeof rowsAfter>>[number]

function rowsAfter(ctx: Context, after: string | null, take: number) {
  return ctx.db.read.certificate.findMany({
    where: {
      der: { not: null },
      issuerId: { not: null },
      ...(after === null ? {} : { id: { gt: after } }),
    },
    orderBy: { id: 'asc' },
    take,
    omit: { tbs: true, actor: true, requestKey: true, requestHash: true },
  })
}

async function isAsRecorded(
  ctx: Context,
  row: Row,
  issuers: Map<string, X509Certificate>,
): Promise<boolean> {
  const { id, der, serial, tenantId } = row
  const issuerId = must(row.issuerId, 'what others signed is not read')
  const issuer = issuers.get(issuerId) ?? (await readIssuer(ctx, issuerId))
  issuers.set(issuerId, issuer)
  const fields = recordMismatches(row, der ?? Buffer.alloc(0), issuer)
  if (fields.length === 0) return true
  ctx.log.error({ certificateId: id, serial, fields }, 'a certificate is not what its row says')
  await ctx.db.transaction(async (tx) => {
    const event = { action: 'certificate.misrecorded', subjectKind: 'certificate', subjectId: id }
    if (await tx.auditEvent.findFirst({ where: event, select: { seq: true } })) return
    await record(tx, { actor, now: ctx.now() }, 'certificate.misrecorded', {
      subject: { kind: 'certificate', id, name: certificateName(row), tenantId },
      changes: { serial, fields },
    })
  })
  return false
}

async function readIssuer(ctx: Context, id: string): Promise<X509Certificate> {
  const select = { der: true }
  const { der } = await ctx.db.read.issuer.findUniqueOrThrow({ where: { id }, select })
  return new X509Certificate(der)
}

import { setImmediate } from 'node:timers/promises'
import { type Context, newId } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'
import { day, hour } from '../../shared/moment.ts'
import { allIngressesOf, type ClusterRow } from '../find.ts'
import { openCluster } from '../kubernetes/open.ts'
import { holdingsOf, type PodAnswer, type PodHoldings } from '../listeners/pods.ts'
import { silenceOf } from '../silence.ts'
import { seenAt } from './handshakes.ts'
import { type Holding, holdingsIn } from './holdings.ts'

/** How old a reading is when the next is due, and of how many clusters one is made due at a time. */
const pace = { milliseconds: hour, clusters: 20 } as const

/** How many certificates of a cluster are kept, and for how long those of pods that cannot be read any more. */
const most = { certificates: 10_000, milliseconds: 7 * day } as const

/** Makes a reading due of the clusters whose last one is the oldest. Answers of how many. */
export async function inventoriesDue(ctx: Context): Promise<number> {
  const before = new Date(ctx.now().getTime() - pace.milliseconds)
  const rows = await ctx.db.read.$queryRaw<readonly { readonly clusterId: string }[]>(sql`
    select cluster."id"::text as "clusterId" from cluster
    left join lateral (select max("readAt") as at from gateway_reading
      where "clusterId" = cluster."id") as last on true
    where last.at is null or last.at < ${before}::timestamptz
    order by last.at nulls first, cluster."id" limit ${pace.clusters}::int`)
  await ctx.db.transaction((tx) => dueMany(tx, 'cluster.inventory', rows))
  return rows.length
}

/** Reads which certificates the gateways of a cluster hold, by the same way as their listeners are read, and stores
 *  those that nobody has here. Read are certificates alone: no Secret is, and Envoy gives no key away. Of a pod that
 *  cannot be read that is stored, and what was seen before stays for a week. Where no pod can be read, what is served
 *  for the names of Gateways is looked at instead. */
export async function readForeign(
  ctx: Context,
  { clusterId }: { readonly clusterId: string },
): Promise<void> {
  const row = await ctx.db.read.cluster.findUnique({ where: { id: clusterId } })
  if (!row) return
  const silence = silenceOf(row)
  const kube = await openCluster(ctx, clusterId)
  for (const [ingress, where] of Object.entries(allIngressesOf(row))) {
    const isAway = silence !== null && where.adminAddress === undefined
    const answers: readonly PodAnswer<PodHoldings>[] = isAway
      ? [{ pod: null, unread: silence }]
      : await holdingsOf(kube, where)
    const isBlind = answers.every((each) => 'unread' in each)
    const ours = await namesOf(ctx.db.read, { clusterId, ingress })
    const seen = isBlind && silence === null ? await seenAt(kube, where, ours) : []
    const { read, besides } = await judged(ctx.db.read, answers, seen)
    await ctx.db.transaction((tx) => store(tx, { row, ingress, read, besides, now: ctx.now() }))
  }
  await ctx.db.transaction((tx) => forgetOthers(tx, row, ctx.now()))
}

type Read = {
  readonly pod: string | null
  readonly reason: string | null
  readonly holds: number
  readonly foreign: readonly Holding[]
}

/** What a pod holds; a hundred are read at a time, between which others go on. */
async function heldBy(told: PodHoldings): Promise<readonly Holding[]> {
  const all: Holding[] = []
  for (const one of holdingsIn(told)) {
    all.push(one)
    if (all.length % 100 === 0) await setImmediate()
  }
  return all
}

/** Which of what each pod holds is on record here: issued, or uploaded. */
async function judged(
  tx: Tx,
  answers: readonly PodAnswer<PodHoldings>[],
  seen: readonly Holding[],
): Promise<{ readonly read: readonly Read[]; readonly besides: readonly Holding[] }> {
  const held: (readonly Holding[])[] = []
  for (const each of answers) held.push('told' in each ? await heldBy(each.told) : [])
  const all = [...held.flat(), ...seen]
  const prints = [...new Set(all.map(({ fingerprintSha256 }) => fingerprintSha256))]
  const known = new Set<string>()
  for (let from = 0; from < prints.length; from += 5000) {
    const rows = await tx.$queryRaw<readonly { readonly print: string }[]>(sql`
      select encode("sha256", 'hex') as print from certificate_fingerprint
      where "sha256" in (select decode(each, 'hex')
        from unnest(${prints.slice(from, from + 5000)}::text[]) as each)`)
    for (const { print } of rows) known.add(print)
  }
  const isForeign = ({ fingerprintSha256 }: Holding) => !known.has(fingerprintSha256)
  const read = answers.map((each, index) => {
    const own = held[index] ?? []
    const reason = 'unread' in each ? each.unread.slice(0, 1000) : null
    return { pod: each.pod, reason, holds: own.length, foreign: own.filter(isForeign) }
  })
  return { read, besides: seen.filter(isForeign) }
}

/** The names that are served there by hosts of ours. */
async function namesOf(
  tx: Tx,
  where: { readonly clusterId: string; readonly ingress: string },
): Promise<ReadonlySet<string>> {
  const rows = await tx.placementName.findMany({ where, select: { name: true } })
  return new Set(rows.map(({ name }) => name))
}

type Reading = {
  readonly row: ClusterRow
  readonly ingress: string
  readonly read: readonly Read[]
  /** What was seen by handshakes, in no pod. */
  readonly besides: readonly Holding[]
  readonly now: Date
}

async function store(tx: Tx, { row, ingress, read, besides, now }: Reading): Promise<void> {
  const where = { clusterId: row.id, ingress }
  await tx.gatewayReading.deleteMany({ where })
  await tx.gatewayReading.createMany({
    data: read.map(({ pod, reason, holds, foreign }) => ({
      ...{ ...where, pod: pod ?? '', readAt: now, reason, holds, foreign: foreign.length },
    })),
    skipDuplicates: true,
  })
  const shown = besides.map((each) => ({ ...each, pods: 0 }))
  const seen = [...merged(read), ...shown].slice(0, most.certificates)
  const items = seen.map((each) => ({ ...each, id: newId(now) }))
  // In the order of its key, or two readings at once would wait for one another.
  await tx.$executeRaw(sql`
    insert into foreign_certificate ("id", "clusterId", "ingress", "credential", "fingerprintSha256",
      "serial", "subject", "issuer", "dnsNames", "ipAddresses", "keyAlgorithm", "notBefore", "notAfter",
      "chainLength", "servedNames", "gateways", "pods", "firstSeenAt", "seenAt")
    select "id", ${row.id}::uuid, ${ingress}, "credential", "fingerprintSha256",
      "serial", "subject", "issuer", "dnsNames", "ipAddresses", "keyAlgorithm", "notBefore", "notAfter",
      "chainLength", "servedNames", "gateways", "pods", ${now}, ${now}
    from jsonb_to_recordset(${JSON.stringify(items)}::jsonb) as item ("id" uuid, "credential" text,
      "fingerprintSha256" text, "serial" text, "subject" text, "issuer" text, "dnsNames" text[],
      "ipAddresses" text[], "keyAlgorithm" text, "notBefore" timestamptz, "notAfter" timestamptz,
      "chainLength" int, "servedNames" text[], "gateways" text[], "pods" int)
    order by "credential", "fingerprintSha256"
    on conflict ("clusterId", "ingress", "credential", "fingerprintSha256") do update set
      "servedNames" = excluded."servedNames", "gateways" = excluded."gateways",
      "pods" = excluded."pods", "chainLength" = excluded."chainLength", "seenAt" = excluded."seenAt"`)
  // While a pod was not read, what it was seen to hold is not known to be gone.
  if (read.some(({ reason }) => reason !== null)) return
  await tx.foreignCertificate.deleteMany({ where: { ...where, seenAt: { lt: now } } })
}

/** One of each that several pods hold. */
function merged(read: readonly Read[]): readonly (Holding & { readonly pods: number })[] {
  const all = read.flatMap(({ foreign }) => foreign)
  const groups = Map.groupBy(all, (each) => `${each.credential} ${each.fingerprintSha256}`)
  return [...groups.values()].flatMap((same) => {
    const [first] = same
    if (!first) return []
    const union = (of: (one: Holding) => readonly string[]) => [...new Set(same.flatMap(of))]
    return {
      ...first,
      servedNames: union(({ servedNames }) => servedNames).toSorted(),
      gateways: union(({ gateways }) => gateways).toSorted(),
      pods: same.length,
    }
  })
}

/** What ingresses had that are not registered any more, what was not seen for long, and what has come to be on record. */
async function forgetOthers(tx: Tx, row: ClusterRow, now: Date): Promise<void> {
  const ingresses = Object.keys(allIngressesOf(row))
  const others = { clusterId: row.id, ingress: { notIn: ingresses } }
  await tx.gatewayReading.deleteMany({ where: others })
  await tx.foreignCertificate.deleteMany({ where: others })
  const long = new Date(now.getTime() - most.milliseconds)
  await tx.foreignCertificate.deleteMany({ where: { clusterId: row.id, seenAt: { lt: long } } })
  await tx.$executeRaw(sql`
    delete from foreign_certificate where "clusterId" = ${row.id}::uuid and exists (
      select from certificate_fingerprint
      where "sha256" = decode(foreign_certificate."fingerprintSha256", 'hex'))`)
}

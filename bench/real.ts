import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { certifyHost } from '../src/certificates/hosts/certify.ts'
import { issueCertificate } from '../src/certificates/issuance/issue.ts'
import type { KubeObject } from '../src/clusters/kubernetes/kube.ts'
import { systemActor } from '../src/core/actor.ts'
import type { Context } from '../src/core/context.ts'
import { sql } from '../src/core/database/db.ts'
import { jobKey } from '../src/core/database/due.ts'
import type { HostSpec } from '../src/hosts/host.ts'
import { putHost } from '../src/hosts/put.ts'
import type { Stage } from './stage.ts'

// What benchmarks of a worker share, most of them on a real cluster.

export const actor = systemActor('bench')

/** Puts a host of the bench's tenant on the cluster `real`. */
async function putReal(ctx: Context, name: string, spec: Partial<HostSpec> = {}): Promise<void> {
  const to = { service: 'httpbin', namespace: 'test', port: 80 }
  await putHost(ctx, actor, {
    ...{ tenant: 'bench', name },
    spec: { routes: [{ to }], clusters: ['real'], ...spec },
  })
}

/** Does this for each number below `count`, eight at a time. */
export async function inLanes(count: number, work: (n: number) => Promise<void>): Promise<void> {
  const left = Array.from({ length: count }, (_, n) => n).values()
  const lane = async () => {
    for (const n of left) await work(n)
  }
  await Promise.all(Array.from({ length: 8 }, lane))
}

/** Puts such a host, with its certificate. What else is due of that would only find that it has one. */
export async function putCertified(
  ctx: Context,
  name: string,
  spec: Partial<HostSpec> = {},
): Promise<void> {
  await putReal(ctx, name, spec)
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  await certifyHost(ctx, id)
  await ctx.db.read.$queryRaw(
    sql`select graphile_worker.remove_job(${jobKey('host.certify', { hostId: id })})`,
  )
}

/** A worker of the built product, once it works. V8 and malloc may keep as much as in docker-compose.yml. */
export async function startWorker({ environment }: Stage): Promise<ChildProcess> {
  const args = ['--max-semi-space-size=16', '--max-old-space-size=256', 'dist/main.js', 'worker']
  const malloc = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072' }
  const env = { ...environment, ...malloc, GATESMITH_LOG_LEVEL: 'info' }
  const worker = spawn(process.execPath, args, { env })
  worker.stderr?.pipe(process.stderr)
  await new Promise<void>((resolve) => {
    worker.stdout?.on('data', (chunk: Buffer) => {
      if (chunk.toString('utf8').includes('working off what is due')) resolve()
    })
  })
  return worker
}

/** Issues a client certificate of the bench's tenant; answers its id. */
export async function issueClient(ctx: Context): Promise<string> {
  const { id } = await issueCertificate(ctx, actor, {
    tenant: 'bench',
    request: { profile: 'client', subject: { commonName: 'bench' } },
    idempotencyKey: undefined,
  })
  return id
}

/** Whether a list is still to be published. */
export async function isListStale(ctx: Context): Promise<boolean> {
  const [row] = await ctx.db.rows<{ readonly stale: boolean }>(
    sql`select exists (select from revocation_list where "shown" is distinct from "revision") as stale`,
  )
  return row?.stale ?? false
}

/** Milliseconds until this is so, from a moment of performance.now(). */
export async function untilSo(begun: number, look: () => Promise<boolean>): Promise<number> {
  while (!(await look())) await delay(10)
  return performance.now() - begun
}

/** What whoever applied an object said of it. */
export function stated({ metadata, status: _, ...object }: KubeObject): KubeObject {
  const { name, namespace = '', labels = {}, annotations = {} } = metadata
  return { ...object, metadata: { name, namespace, labels, annotations } }
}

/** How milliseconds are spread, in words: percentiles by the nearest rank, and the most. */
export function spreadOf(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => (sorted[Math.ceil(sorted.length * share) - 1] ?? 0).toFixed()
  return `p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`
}

/** How many placements have each status. */
export async function statuses(ctx: Context): Promise<Readonly<Record<string, number>>> {
  const rows = await ctx.db.read.$queryRaw<readonly { status: string; count: number }[]>(
    sql`select "status", count(*)::int as count from placement group by 1`,
  )
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]))
}

/** Waits until all of so many placements are Synced; answers after how many seconds none was Pending. */
export async function allSynced(ctx: Context, count: number): Promise<number> {
  const begun = performance.now()
  let applied: number | undefined
  for (;;) {
    const { Pending = 0, Synced = 0 } = await statuses(ctx)
    if (Pending === 0) applied ??= seconds(begun)
    if (Synced === count) return applied ?? seconds(begun)
    await delay(500)
  }
}

/** Seconds since a moment of performance.now(). */
export function seconds(since: number): number {
  return (performance.now() - since) / 1000
}

/** Processor time that processes have had so far, in seconds, by what they are: those of the cluster whose command
 *  or environment has `mark`, ours and our PostgreSQL. Empty where /proc is not. */
export async function processorTimes(mark: string): Promise<ReadonlyMap<string, number>> {
  const all = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const found = (await Promise.all(all.map(readProcess))).flatMap((each) => each ?? [])
  const own = new Set([process.pid])
  for (const { pid, parent } of found.toSorted((a, b) => a.pid - b.pid)) {
    if (own.has(parent)) own.add(pid)
  }
  const times = new Map<string, number>()
  for (const { pid, name, command, time } of found) {
    const kind = own.has(pid)
      ? name.startsWith('postgres')
        ? 'PostgreSQL'
        : command.includes('worker')
          ? 'worker'
          : undefined
      : command.includes(mark)
        ? name
        : undefined
    if (kind !== undefined) times.set(kind, (times.get(kind) ?? 0) + time)
  }
  return times
}

async function readProcess(pid: string) {
  const [stat, command, environment] = await Promise.all(
    ['stat', 'cmdline', 'environ'].map((file) =>
      readFile(join('/proc', pid, file), 'utf8').catch(() => ''),
    ),
  )
  const end = stat?.lastIndexOf(')') ?? -1
  if (!stat || end < 0) return undefined
  const fields = stat
    .slice(end + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15)
  const name = stat.slice(stat.indexOf('(') + 1, end)
  // Backends that have ended are counted by the one that started them.
  const ended = name.startsWith('postgres') ? childUser + childSystem : 0
  return {
    pid: Number(pid),
    parent: fields[1] ?? 0,
    name,
    command: `${command} ${environment}`,
    time: (user + system + ended) / 100,
  }
}

/** `worker 12 ms, PostgreSQL 4 ms`, for each of so many things. */
export function shares(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  count: number,
): string {
  return [...after]
    .map(([kind, time]) => [kind, ((time - (before.get(kind) ?? 0)) * 1000) / count] as const)
    .filter(([, each]) => each >= 0.05)
    .toSorted(([, a], [, b]) => b - a)
    .map(([kind, each]) => `${kind} ${each.toFixed(1)} ms`)
    .join(', ')
}

import { answerOf, each, ProblemError, type Schemas } from '@gatesmith/client'
import { openSession, type Remote, type Session, tenantOf } from '../contexts.ts'
import { CommandError, exits, type Io } from '../io.ts'
import { hostsOf, queryOf } from '../nouns.ts'
import { asData, isData, painted, printable, yamlOf } from '../print.ts'
import { exitOf, sentenceOf } from '../refusal.ts'
import { type Found, type Kind, labelOf, type Manifest, readManifests } from './documents.ts'
import {
  authorityManifest,
  clusterManifest,
  hostManifest,
  states,
  tenantManifest,
} from './states.ts'

export type FileOptions = Remote & {
  readonly filename: readonly string[]
  readonly recursive?: true
  readonly credentials?: true
  readonly prune?: true
  readonly selector?: string
  readonly dryRun?: true
  readonly wait?: true
  readonly timeout?: number
}

type Outcome = 'created' | 'configured' | 'unchanged'

/** `gatesmith apply`: makes what is in the files so. What is refused is told, and the rest is still done. */
export async function apply(io: Io, options: FileOptions): Promise<number> {
  refuseBarePrune(options)
  const { filename, recursive = false, dryRun = false, credentials = false } = options
  const found = await readManifests(io, filename, recursive)
  const session = await openSession(io, options)
  const done: { outcome: Outcome | 'deleted' | 'refused'; what: string; message?: string }[] = []
  const tell = (what: string, outcome: (typeof done)[number]['outcome'], message?: string) => {
    done.push({ outcome, what, ...(message === undefined ? {} : { message }) })
    if (isData(session.output)) return
    if (session.output === 'name') io.out.write(`${what}\n`)
    else if (message === undefined) {
      io.out.write(
        `${what} ${painted(io, colours[outcome], outcome)}${dryRun ? ' (dry run)' : ''}\n`,
      )
    }
    if (message !== undefined) io.err.write(`${what}: ${message}\n`)
  }
  let worst: number = exits.done
  for (const { manifest: wanted, at } of found) {
    try {
      const before = await states[wanted.kind].read(session, wanted)
      const after = await states[wanted.kind].write(session, {
        wanted,
        before,
        dryRun,
        credentials,
      })
      tell(labelOf(wanted), await outcomeOf(before, after))
    } catch (error) {
      if (!(error instanceof ProblemError || error instanceof CommandError)) throw error
      // Nobody else's turn would come to another end without credentials.
      if (error instanceof ProblemError && error.status === 401) throw error
      worst = error instanceof CommandError ? error.exitCode : exitOf(error)
      tell(labelOf(wanted), 'refused', `${sentenceOf(error)} (${at})`)
    }
  }
  if (options.prune && worst === exits.done) {
    for (const host of await leftOver(session, options, found)) {
      const path = { tenant: host.tenant, host: host.name }
      const params = { path, query: dryRun ? { dryRun } : {} }
      await answerOf(session.client.DELETE('/v1/tenants/{tenant}/hosts/{host}', { params }))
      tell(labelOf(hostManifest(host)), 'deleted')
    }
  }
  if (isData(session.output)) io.out.write(await asData(session.output, { items: done }))
  if (options.wait && !dryRun && worst === exits.done) {
    const { waitFor } = await import('../follow.ts')
    return waitFor(session, hostsIn(session, found), {
      state: 'Synced',
      seconds: options.timeout ?? 120,
    })
  }
  return worst
}

/** `gatesmith diff`: what apply would change, line by line. 1 when there is a difference. */
export async function diff(io: Io, options: FileOptions): Promise<number> {
  refuseBarePrune(options)
  const { filename, recursive = false, credentials = false } = options
  const found = await readManifests(io, filename, recursive)
  const session = await openSession(io, options)
  let differs = false
  const show = async (label: string, before: Manifest | undefined, after: Manifest | undefined) => {
    const lines = await linesOf(before, after)
    if (lines.length === 0) return
    differs = true
    io.out.write(`${painted(io, 'bold', label)}\n`)
    for (const line of lines) {
      const colour = line.startsWith('+') ? 'green' : line.startsWith('-') ? 'red' : 'plain'
      io.out.write(`${painted(io, colour, printable(line))}\n`)
    }
  }
  for (const { manifest: wanted } of found) {
    const before = await states[wanted.kind].read(session, wanted)
    const change = { wanted, before, dryRun: true, credentials }
    const after = await states[wanted.kind].write(session, change)
    await show(labelOf(wanted), before, after)
  }
  if (options.prune) {
    for (const host of await leftOver(session, options, found)) {
      await show(labelOf(hostManifest(host)), hostManifest(host), undefined)
    }
  }
  return differs ? exits.no : exits.done
}

/** `gatesmith export`: what is there, as files that apply without a change; of the session's tenant, or everything. */
export async function exportAll(
  io: Io,
  options: Remote & { readonly selector?: string; readonly kind?: readonly string[] },
): Promise<void> {
  const session = await openSession(io, options)
  const { client, tenant } = session
  const wants = (kind: Kind) =>
    options.kind === undefined ||
    options.kind.some((each) => each.toLowerCase() === kind.toLowerCase())
  const label = options.selector
  const filters = { limit: '200', label }
  const write = async (manifest: Manifest) => io.out.write(`---\n${await yamlOf(manifest)}`)
  if (tenant === undefined && label === undefined) {
    if (wants('Authority')) {
      for await (const authority of each<Schemas['Authority']>((page) =>
        client.GET('/v1/authorities', queryOf({ limit: '200', ...page })),
      )) {
        if (authority.retiredAt === null) await write(authorityManifest(authority))
      }
    }
    if (wants('Cluster')) {
      for await (const cluster of each<Schemas['Cluster']>((page) =>
        client.GET('/v1/clusters', queryOf({ limit: '200', ...page })),
      )) {
        await write(clusterManifest(cluster))
      }
    }
  }
  if (wants('Tenant')) {
    for await (const one of each<Schemas['Tenant']>((page) =>
      client.GET('/v1/tenants', queryOf({ ...filters, ...page })),
    )) {
      if (tenant === undefined || one.name === tenant) await write(tenantManifest(one))
    }
  }
  if (wants('Host')) {
    for await (const host of hostsOf(session, filters)) {
      if (host.removedAt === null) await write(hostManifest(host))
    }
  }
}

/** `gatesmith plan`: what the hosts of the files would change on their clusters, object by object. */
export async function plan(io: Io, options: FileOptions): Promise<number> {
  const found = await readManifests(io, options.filename, options.recursive ?? false)
  const session = await openSession(io, options)
  const plans: Schemas['HostPlan'][] = []
  for (const {
    manifest: { kind, metadata, spec },
  } of found) {
    if (kind !== 'Host') continue
    const path = { tenant: metadata.tenant ?? tenantOf(session), host: metadata.name }
    const { labels = {} } = metadata
    const body = JSON.parse(JSON.stringify({ spec: { ...spec, labels } }))
    plans.push(
      await answerOf(
        session.client.POST('/v1/tenants/{tenant}/hosts/{host}/plan', { params: { path }, body }),
      ),
    )
  }
  return printPlans(session, plans)
}

/** Answers 1 when something is in the way. */
async function printPlans(
  { io, output }: Session,
  plans: readonly Schemas['HostPlan'][],
): Promise<number> {
  const places = plans.flatMap(({ clusters }) => clusters)
  const blocked = places.some(({ conflicts, error, changes }) =>
    [...conflicts, error, ...changes.map(({ refused }) => refused)].some(Boolean),
  )
  if (isData(output)) io.out.write(await asData(output, { items: plans }))
  else {
    for (const { host, clusters } of plans) {
      for (const { cluster, ingress, changes, conflicts, warnings, error } of clusters) {
        io.out.write(`${painted(io, 'bold', host)} on ${cluster} (${ingress})\n`)
        for (const { action, kind, namespace, name, fields, refused } of changes) {
          io.out.write(`  ${action.padEnd(7)} ${kind} ${namespace}/${name}\n`)
          for (const { change, pointer } of fields)
            io.out.write(`    ${change} ${printable(pointer)}\n`)
          if (refused !== null) io.out.write(`    refused: ${printable(refused)}\n`)
        }
        for (const each of conflicts) io.out.write(`  conflict: ${printable(each)}\n`)
        for (const each of warnings) io.out.write(`  warning: ${printable(each)}\n`)
        if (error !== null) io.out.write(`  cannot be planned: ${printable(error)}\n`)
      }
    }
  }
  return blocked ? exits.no : exits.done
}

const colours = {
  created: 'green',
  configured: 'yellow',
  deleted: 'red',
  refused: 'red',
  unchanged: 'plain',
} as const

function refuseBarePrune({ prune, selector }: FileOptions): void {
  if (prune && selector === undefined) {
    throw new CommandError('--prune needs -l <labels>: what has them and is in no file is deleted')
  }
}

/** The hosts that the files are about, whose tenant is the session's where they name none. */
function hostsIn(session: Session, found: readonly Found[]) {
  return found.flatMap(({ manifest: { kind, metadata } }) =>
    kind === 'Host' ? [{ tenant: metadata.tenant ?? tenantOf(session), name: metadata.name }] : [],
  )
}

/** The hosts that bear the labels and are in no file. */
async function leftOver(
  session: Session,
  { selector }: FileOptions,
  found: readonly Found[],
): Promise<readonly Schemas['Host'][]> {
  const kept = new Set(hostsIn(session, found).map(({ tenant, name }) => `${tenant}/${name}`))
  const left: Schemas['Host'][] = []
  for await (const host of hostsOf(session, { label: selector })) {
    if (host.removedAt === null && !kept.has(`${host.tenant}/${host.name}`)) left.push(host)
  }
  return left
}

async function outcomeOf(before: Manifest | undefined, after: Manifest): Promise<Outcome> {
  if (!before) return 'created'
  return (await linesOf(before, after)).length === 0 ? 'unchanged' : 'configured'
}

/** The lines that go and come, with what stands around them; none when both say the same. */
async function linesOf(
  before: Manifest | undefined,
  after: Manifest | undefined,
): Promise<readonly string[]> {
  const { diffArrays } = await import('diff')
  const text = async (manifest: Manifest | undefined) =>
    manifest === undefined ? [] : (await yamlOf(sorted(manifest))).trimEnd().split('\n')
  const [from, to] = [await text(before), await text(after)]
  const lines = diffArrays(from, to).flatMap(({ value, added, removed }) =>
    value.map((line) => `${added ? '+' : removed ? '-' : ' '} ${line}`),
  )
  const changed = (line: string) => !line.startsWith(' ')
  return lines.filter((_, index) => lines.slice(Math.max(0, index - 3), index + 4).some(changed))
}

/** Members by name, so that their order is no difference. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]))
}

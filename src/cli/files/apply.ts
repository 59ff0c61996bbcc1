import { answerOf, ProblemError, type Schemas } from '@gatesmith/client'
import { CommandError, exits, type Io } from '../io.ts'
import { hostsOf } from '../nouns.ts'
import { asData, isData, painted, printable, yamlOf } from '../print.ts'
import { exitOf, gravestOf, sentenceOf } from '../refusal.ts'
import { openSession, type Remote, type Session, tenantOf } from '../session/contexts.ts'
import { type Found, labelOf, type Manifest, readManifests } from './documents.ts'
import { hostManifest, states, withoutSecrets } from './states.ts'

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

type Outcome = 'created' | 'configured' | 'unchanged' | 'deleted' | 'refused'

/** `gatesmith apply`: makes what is in the files so. What is refused is told, and the rest is still done; the exit
 *  code is the gravest of all refusals. */
export async function apply(io: Io, options: FileOptions): Promise<number> {
  refuseBarePrune(options)
  const found = await readManifests(io, options.filename, options.recursive ?? false)
  const session = await openSession(io, options)
  const dryRun = options.dryRun ?? false
  const done: { outcome: Outcome; what: string; message?: string }[] = []
  const tell = (what: string, outcome: Outcome, message?: string) => {
    done.push({ outcome, what, ...(message === undefined ? {} : { message }) })
    if (message !== undefined) io.err.write(`${what}: ${message}\n`)
    if (isData(session.output)) return
    if (session.output === 'name') io.out.write(`${what}\n`)
    else if (outcome !== 'refused') {
      const word = painted(io, colours[outcome], outcome)
      io.out.write(`${what} ${word}${dryRun ? ' (dry run)' : ''}\n`)
    }
  }
  let code: number
  try {
    code = await eachWritten(session, found, { ...options, dryRun }, async (one) => {
      const what = labelOf(one.wanted)
      if ('refused' in one) return tell(what, 'refused', one.refused)
      tell(what, await outcomeOf(one.before, one.after), one.note)
    })
    if (options.prune && code === exits.done) {
      for (const host of await leftOver(session, options, found)) {
        const path = { tenant: host.tenant, host: host.name }
        const params = { path, query: dryRun ? { dryRun } : {} }
        await answerOf(session.client.DELETE('/v1/tenants/{tenant}/hosts/{host}', { params }))
        tell(labelOf(hostManifest(host)), 'deleted')
      }
    }
  } finally {
    if (isData(session.output)) io.out.write(await asData(session.output, { items: done }))
  }
  if (!options.wait || dryRun || code !== exits.done) return code
  const { waitFor } = await import('../follow.ts')
  const seconds = options.timeout ?? 120
  return waitFor(session, hostsIn(session, found), { state: 'Synced', seconds })
}

/** `gatesmith diff`: what apply would change, line by line. 1 when there is a difference; a refusal is graver. */
export async function diff(io: Io, options: FileOptions): Promise<number> {
  refuseBarePrune(options)
  const found = await readManifests(io, options.filename, options.recursive ?? false)
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
  const code = await eachWritten(session, found, { ...options, dryRun: true }, async (one) => {
    const what = labelOf(one.wanted)
    const message = 'refused' in one ? one.refused : one.note
    if (message !== undefined) io.err.write(`${what}: ${message}\n`)
    if (!('refused' in one)) await show(what, one.before, one.after)
  })
  if (options.prune) {
    for (const host of await leftOver(session, options, found)) {
      await show(labelOf(hostManifest(host)), hostManifest(host), undefined)
    }
  }
  return code === exits.done && differs ? exits.no : code
}

type Made = {
  readonly wanted: Manifest
  readonly before: Manifest | undefined
  readonly after: Manifest
  readonly note?: string
}
type Written = Made | { readonly wanted: Manifest; readonly refused: string }

/** Writes one after the other, or rehearses it, and tells what came of each. Answers the gravest exit code. Without
 *  credentials, or a service that answers, the rest is left: it would come to the same end. */
async function eachWritten(
  session: Session,
  found: readonly Found[],
  { dryRun, credentials = false }: { dryRun: boolean; credentials?: boolean },
  tell: (written: Written) => Promise<void>,
): Promise<number> {
  const codes: number[] = [exits.done]
  const changed: Change[] = []
  for (const { manifest: wanted, at } of found) {
    try {
      const before = await states[wanted.kind].read(session, wanted)
      const change = { wanted, before, dryRun, credentials }
      const written = await states[wanted.kind]
        .write(session, change)
        .then((after) => ({ wanted, before, after }))
        .catch((error: unknown) => unchecked(session, { error, change, changed }))
      if (dryRun && (!before || (await linesOf(before, written.after)).length > 0)) {
        changed.push({ manifest: wanted, made: !before })
      }
      await tell(written)
    } catch (error) {
      if (!(error instanceof ProblemError || error instanceof CommandError)) throw error
      if (error instanceof ProblemError && error.status === 401) throw error
      codes.push(error instanceof CommandError ? error.exitCode : exitOf(error))
      await tell({ wanted, refused: `${sentenceOf(error)} (${at})` })
    }
  }
  return gravestOf(codes)
}

/** What these files are still to make, or to change. */
type Change = { readonly manifest: Manifest; readonly made: boolean }

/** What needs something that these files are still to make or to change cannot be rehearsed: it is shown as the file
 *  says it. */
function unchecked(
  { tenant }: Session,
  {
    error,
    change: { wanted, before, dryRun },
    changed,
  }: {
    error: unknown
    change: { wanted: Manifest; before: Manifest | undefined; dryRun: boolean }
    changed: readonly Change[]
  },
): Made {
  if (!dryRun || !(error instanceof ProblemError)) throw error
  const [, kind] = /^(authority|cluster|tenant)-unknown$/.exec(error.type) ?? []
  const text = JSON.stringify([wanted.metadata.tenant ?? tenant, wanted.spec])
  const needed = changed.find(
    ({ manifest: one, made }) =>
      text.includes(`"${one.metadata.name}`) &&
      (made ? one.kind.toLowerCase() === kind : judged.has(error.status)),
  )
  if (needed === undefined) throw error
  const after = { ...wanted, spec: withoutSecrets(wanted.spec) }
  const label = labelOf(needed.manifest)
  const note = needed.made
    ? `not checked yet, since it needs ${label}`
    : `not checked yet, since these files change ${label}; as it is now: ${sentenceOf(error)}`
  return { wanted, before, after, note }
}

/** Refusals of what was understood: they may go with a change of what it was judged by. */
const judged: ReadonlySet<number> = new Set([403, 409, 422])

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

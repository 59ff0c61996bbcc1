import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { amend, at, type Fields, fields, isFields, type Json, parseJson, text } from './json.ts'
import { type Kind, kinds, resourceName } from './kinds.ts'
import { openLog } from './log.ts'

/** One stored change, as a watch tells it. `before` is absent for ADDED. */
export type Change = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly resource: string
  readonly revision: number
  readonly object: Fields
  readonly before?: Fields
}

/** All objects, in memory and in a log on disk. What is read and then written without waiting in
 *  between is one step; `put` and `remove` resolve once it is on disk, and only then do watchers hear. */
export type Store = {
  get(kind: Kind, namespace: string, name: string): Fields | undefined
  list(kind: Kind, namespace?: string): readonly Fields[]
  revision(): number
  put(kind: Kind, object: Fields): Promise<Fields>
  remove(kind: Kind, object: Fields): Promise<Fields>
  /** The kept changes after a revision; undefined when some of them are not kept any more. */
  since(revision: number): readonly Change[] | undefined
  /** Calls back with each change, until the answer is called. */
  watch(heard: (change: Change) => void): () => void
  close(): Promise<void>
}

type Entry = {
  readonly revision: number
  readonly resource: string
  readonly id: string
  readonly object: Json
}

const keptChanges = 5000

function idOf(object: Fields): string {
  return `${text(object, 'metadata', 'namespace')}/${text(object, 'metadata', 'name')}`
}

type Objects = Map<string, Map<string, Fields>>

/** Opens the log in `directory`, or begins one. A line torn by a kill at the end is dropped: nobody was
 *  told of it. */
export async function openStore(directory: string): Promise<Store> {
  const path = join(directory, 'objects.jsonl')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const objects: Objects = new Map()
  let revision = replay(await readFile(path, 'utf8').catch(() => ''), objects)
  const log = await openLog(path, () => linesOf(revision, objects))
  const history = createHistory(revision)

  async function store(entry: Entry, change: Change): Promise<Fields> {
    keep(objects, entry)
    await log.append(JSON.stringify(entry))
    history.add(change)
    return change.object
  }

  function revised(object: Fields): Fields {
    const metadata = amend(fields(object, 'metadata'), { resourceVersion: String(++revision) })
    return amend(object, { metadata })
  }

  return {
    get: (kind, namespace, name) => objects.get(resourceName(kind))?.get(`${namespace}/${name}`),
    list: (kind, namespace) => listed(objects.get(resourceName(kind)), namespace),
    revision: () => revision,
    put(kind, object) {
      const resource = resourceName(kind)
      const id = idOf(object)
      const before = objects.get(resource)?.get(id)
      const stored = revised(object)
      const facts = { resource, revision, object: stored }
      const change: Change = before
        ? { type: 'MODIFIED', before, ...facts }
        : { type: 'ADDED', ...facts }
      return store({ revision, resource, id, object: stored }, change)
    },
    remove(kind, object) {
      const resource = resourceName(kind)
      const last = revised(object)
      const change: Change = { type: 'DELETED', resource, revision, object: last, before: object }
      return store({ revision, resource, id: idOf(object), object: null }, change)
    },
    since: history.since,
    watch: history.watch,
    close: log.close,
  }
}

/** The last changes, and who hears of the next ones. */
function createHistory(from: number) {
  const watchers = new Set<(change: Change) => void>()
  let changes: Change[] = []
  let forgotten = from
  return {
    add(change: Change): void {
      changes.push(change)
      for (const heard of watchers) heard(change)
      if (changes.length <= 2 * keptChanges) return
      forgotten = changes[keptChanges - 1]?.revision ?? forgotten
      changes = changes.slice(keptChanges)
    },
    since: (revision: number) =>
      revision < forgotten ? undefined : changes.filter((change) => change.revision > revision),
    watch(heard: (change: Change) => void) {
      watchers.add(heard)
      return () => watchers.delete(heard)
    },
  }
}

function listed(of: ReadonlyMap<string, Fields> | undefined, namespace?: string) {
  const all = [...(of?.entries() ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))
  const chosen =
    namespace === undefined ? all : all.filter(([id]) => id.startsWith(`${namespace}/`))
  return chosen.map(([, object]) => object)
}

function keep(objects: Objects, { resource, id, object }: Entry): void {
  const of = objects.get(resource) ?? new Map<string, Fields>()
  objects.set(resource, of)
  if (isFields(object)) of.set(id, object)
  else of.delete(id)
}

function replay(log: string, objects: Objects): number {
  let revision = 0
  for (const line of log.split('\n').slice(0, -1)) {
    const entry = parseJson(line)
    revision = Math.max(revision, Number(at(entry, 'revision')))
    const resource = text(entry, 'resource') || resourceOf(text(entry, 'plural'))
    if (resource) {
      keep(objects, {
        revision,
        resource,
        id: text(entry, 'id'),
        object: at(entry, 'object') ?? null,
      })
    }
  }
  return revision
}

/** As logs named a kind before two kinds could have one plural. */
function resourceOf(plural: string): string {
  const kind = kinds.find((each) => each.plural === plural)
  return kind ? resourceName(kind) : ''
}

function linesOf(revision: number, objects: Objects): readonly string[] {
  const lines = [JSON.stringify({ revision })]
  for (const [resource, all] of objects) {
    for (const [id, object] of all) {
      const of = Number(text(object, 'metadata', 'resourceVersion'))
      lines.push(JSON.stringify({ revision: of, resource, id, object }))
    }
  }
  return lines
}

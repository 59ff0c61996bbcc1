import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { amend, at, type Fields, fields, isFields, type Json, parseJson, text } from './json.ts'
import { type Kind, kinds, resourceName } from './kinds.ts'

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

/** Opens the log in `directory`, or begins one. A line torn by a kill at the end is dropped: nobody was
 *  told of it. The log is rewritten, beside and then renamed, at each opening and when mostly obsolete. */
export async function openStore(directory: string): Promise<Store> {
  const path = join(directory, 'objects.jsonl')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const objects = new Map<string, Map<string, Fields>>()
  let revision = replay(await readFile(path, 'utf8').catch(() => ''), objects)
  let file = await rewrite(path, revision, objects)
  let lines = 0
  let pending: { line: string; change: Change; done: () => void; failed: (e: unknown) => void }[] =
    []
  let flushing: Promise<void> | undefined
  let changes: Change[] = []
  let forgotten = revision
  const watchers = new Set<(change: Change) => void>()

  async function flush(): Promise<void> {
    while (pending.length > 0) {
      const batch = pending
      pending = []
      try {
        if (lines > 20_000 + 4 * count(objects)) {
          const obsolete = file
          file = await rewrite(path, revision, objects)
          lines = 0
          await obsolete.close()
        }
        await file.write(batch.map(({ line }) => line).join(''))
        await file.datasync()
        lines += batch.length
      } catch (error) {
        // Half a line may stand there now: the next write begins with a fresh log.
        lines = Number.POSITIVE_INFINITY
        for (const { failed } of batch) failed(error)
        continue
      }
      for (const { change, done } of batch) {
        changes.push(change)
        for (const heard of watchers) heard(change)
        done()
      }
      if (changes.length > 2 * keptChanges) {
        forgotten = changes[keptChanges - 1]?.revision ?? forgotten
        changes = changes.slice(keptChanges)
      }
    }
    flushing = undefined
  }

  function store(entry: Entry, change: Change): Promise<Fields> {
    keep(objects, entry)
    return new Promise((resolve, reject) => {
      const line = `${JSON.stringify(entry)}\n`
      pending.push({ line, change, done: () => resolve(change.object), failed: reject })
      flushing ??= flush()
    })
  }

  function revised(object: Fields): Fields {
    const metadata = amend(fields(object, 'metadata'), { resourceVersion: String(++revision) })
    return amend(object, { metadata })
  }

  return {
    get: (kind, namespace, name) => objects.get(resourceName(kind))?.get(`${namespace}/${name}`),
    list: (kind, namespace) => {
      const all = [...(objects.get(resourceName(kind))?.entries() ?? [])]
      all.sort(([a], [b]) => (a < b ? -1 : 1))
      const of =
        namespace === undefined ? all : all.filter(([id]) => id.startsWith(`${namespace}/`))
      return of.map(([, object]) => object)
    },
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
    since: (from) =>
      from < forgotten ? undefined : changes.filter((change) => change.revision > from),
    watch(heard) {
      watchers.add(heard)
      return () => watchers.delete(heard)
    },
    async close() {
      await flushing
      await file.close()
    },
  }
}

function keep(objects: Map<string, Map<string, Fields>>, { resource, id, object }: Entry): void {
  const of = objects.get(resource) ?? new Map<string, Fields>()
  objects.set(resource, of)
  if (isFields(object)) of.set(id, object)
  else of.delete(id)
}

function count(objects: Map<string, Map<string, Fields>>): number {
  return [...objects.values()].reduce((sum, of) => sum + of.size, 0)
}

function replay(log: string, objects: Map<string, Map<string, Fields>>): number {
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

async function rewrite(
  path: string,
  revision: number,
  objects: Map<string, Map<string, Fields>>,
): Promise<FileHandle> {
  const lines = [JSON.stringify({ revision })]
  for (const [resource, of] of objects) {
    for (const [id, object] of of) {
      const of = Number(text(object, 'metadata', 'resourceVersion'))
      lines.push(JSON.stringify({ revision: of, resource, id, object }))
    }
  }
  const fresh = await open(`${path}.new`, 'w', 0o600)
  await fresh.writeFile(`${lines.join('\n')}\n`)
  await fresh.sync()
  await rename(`${path}.new`, path)
  const folder = await open(join(path, '..'), constants.O_RDONLY)
  await folder.sync()
  await folder.close()
  return fresh
}

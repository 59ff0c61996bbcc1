import { isDeepStrictEqual } from 'node:util'
import { type Fields, isFields, isList, type Json, parseJson } from '../json.ts'

/** A set of fields of one object, as metadata.managedFields counts them. A path is its elements in the
 *  words of fieldsV1 (`f:name`, `k:{…}`, `v:…`) joined by a character no element holds. */
export type FieldSet = ReadonlySet<string>

const joint = '\u0000'

/** The elements of a path. */
export function elements(path: string): readonly string[] {
  return path.split(joint)
}

/** A path one element longer; `above` is '' for the whole object. */
function below(above: string, element: string): string {
  return above ? above + joint + element : element
}

/** How a value is merged: `granular` member by member, `keyed` item by item under the named members,
 *  `set` value by value, and `atomic` as a whole. Istio's lists declare nothing, so they are atomic. */
type Shape =
  | { readonly as: 'granular' | 'set' | 'atomic' }
  | { readonly as: 'keyed'; readonly by: readonly string[] }

/** The shape of the value at a path of an object of the kind named by `plural`. */
function shapeOf(plural: string, path: string, value: Json | undefined): Shape {
  const where = elements(path).join('.')
  if (isFields(value)) {
    return { as: plural === 'services' && where === 'f:spec.f:selector' ? 'atomic' : 'granular' }
  }
  if (where === 'f:metadata.f:finalizers') return { as: 'set' }
  if (where === 'f:metadata.f:ownerReferences') return { as: 'keyed', by: ['uid'] }
  if (plural === 'services' && where === 'f:spec.f:ports') {
    return { as: 'keyed', by: ['port', 'protocol'] }
  }
  return { as: 'atomic' }
}

/** The element that names an item of a keyed list; a Service port's protocol is TCP unless it says. */
function keyOf(item: Json, by: readonly string[]): string {
  const key: { [name: string]: Json } = {}
  for (const name of by) {
    const value = isFields(item) ? item[name] : undefined
    key[name] = value ?? (name === 'protocol' ? 'TCP' : null)
  }
  return `k:${JSON.stringify(key)}`
}

/** The element that names an item of a set. */
function itemOf(item: Json): string {
  return `v:${JSON.stringify(item)}`
}

/** The fields that `value` says: each leaf, and each item of a keyed list. */
export function fieldsOf(plural: string, value: Json, path = ''): FieldSet {
  const found = new Set<string>()
  gather(plural, value, path, found)
  return found
}

function gather(plural: string, value: Json, path: string, found: Set<string>): void {
  const shape = shapeOf(plural, path, value)
  if (shape.as === 'granular' && isFields(value)) {
    const members = Object.entries(value)
    if (members.length === 0 && path) found.add(path)
    for (const [name, each] of members) gather(plural, each, below(path, `f:${name}`), found)
  } else if (shape.as === 'keyed' && isList(value)) {
    for (const item of value) {
      const key = below(path, keyOf(item, shape.by))
      found.add(key)
      if (isFields(item)) gather(plural, item, key, found)
    }
  } else if (shape.as === 'set' && isList(value)) {
    for (const item of value) found.add(below(path, itemOf(item)))
  } else if (path) found.add(path)
}

/** The fields of `after` that are new or different from `before`, containers included where new. */
export function changedFields(
  plural: string,
  before: Json | undefined,
  after: Json,
  path = '',
): FieldSet {
  const changed = new Set<string>()
  compare(plural, before, after, path, changed)
  return changed
}

function compare(
  plural: string,
  before: Json | undefined,
  after: Json,
  path: string,
  changed: Set<string>,
): void {
  if (isDeepStrictEqual(before, after)) return
  const shape = shapeOf(plural, path, after)
  if (shape.as === 'granular' && isFields(after)) {
    const was = isFields(before) ? before : {}
    if (!isFields(before) && path) changed.add(path)
    for (const [name, each] of Object.entries(after)) {
      compare(plural, was[name], each, below(path, `f:${name}`), changed)
    }
  } else if (shape.as === 'keyed' && isList(after)) {
    const was = new Map((isList(before) ? before : []).map((item) => [keyOf(item, shape.by), item]))
    for (const item of after) {
      const key = keyOf(item, shape.by)
      compare(plural, was.get(key), item, below(path, key), changed)
    }
  } else if (shape.as === 'set' && isList(after)) {
    const was = isList(before) ? before : []
    for (const item of after) if (!was.includes(item)) changed.add(below(path, itemOf(item)))
  } else if (path) changed.add(path)
}

/** The set and every container on the way to its fields. */
export function withContainers(set: FieldSet): FieldSet {
  const all = new Set(set)
  for (const path of set) {
    for (let end = path.lastIndexOf(joint); end > 0; end = path.lastIndexOf(joint, end - 1)) {
      all.add(path.slice(0, end))
    }
  }
  return all
}

type Tree = { [element: string]: Tree }

/** The set in the words of metadata.managedFields. */
export function toFieldsV1(set: FieldSet): Fields {
  const root: Tree = {}
  for (const path of [...set].sort()) {
    let here = root
    for (const element of elements(path)) {
      const next = here[element] ?? {}
      here[element] = next
      here = next
    }
  }
  for (const path of set) {
    let here: Tree | undefined = root
    for (const element of elements(path)) here = here?.[element]
    if (here && Object.keys(here).length > 0) here['.'] = {}
  }
  return root
}

/** The set that a fieldsV1 value says. */
export function fromFieldsV1(value: Fields): FieldSet {
  const found = new Set<string>()
  const walk = (tree: Fields, path: string): void => {
    const names = Object.keys(tree)
    if (path && (names.length === 0 || names.includes('.'))) found.add(path)
    for (const [name, each] of Object.entries(tree)) {
      if (name !== '.' && isFields(each)) walk(each, below(path, name))
    }
  }
  walk(value, '')
  return found
}

/** A path as conflicts show it: `.spec.ports[port=80,protocol="TCP"].name`. */
export function show(path: string): string {
  const shown = elements(path).map((element) => {
    const rest = element.slice(2)
    if (element.startsWith('f:')) return `.${rest}`
    if (element.startsWith('v:')) return `[=${rest}]`
    const key = parseJson(rest)
    const pairs = isFields(key) ? Object.entries(key) : []
    return `[${pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`
  })
  return shown.join('')
}

/** `value` without the fields of `doomed`. */
export function without(plural: string, value: Json, doomed: FieldSet, path = ''): Json {
  const shape = shapeOf(plural, path, value)
  if (shape.as === 'granular' && isFields(value)) {
    const kept: { [name: string]: Json } = {}
    for (const [name, each] of Object.entries(value)) {
      const here = below(path, `f:${name}`)
      if (!doomed.has(here)) kept[name] = without(plural, each, doomed, here)
    }
    return kept
  }
  if (shape.as === 'keyed' && isList(value)) {
    return value
      .filter((item) => !doomed.has(below(path, keyOf(item, shape.by))))
      .map((item) => without(plural, item, doomed, below(path, keyOf(item, shape.by))))
  }
  if (shape.as === 'set' && isList(value)) {
    return value.filter((item) => !doomed.has(below(path, itemOf(item))))
  }
  return value
}

/** `live` with what `applied` says laid over it. */
export function merge(plural: string, live: Json | undefined, applied: Json, path = ''): Json {
  const shape = shapeOf(plural, path, applied)
  if (shape.as === 'granular' && isFields(applied)) {
    const merged: { [name: string]: Json } = isFields(live) ? { ...live } : {}
    for (const [name, each] of Object.entries(applied)) {
      merged[name] = merge(plural, merged[name], each, below(path, `f:${name}`))
    }
    return merged
  }
  if (shape.as === 'keyed' && isList(applied)) {
    const items = new Map((isList(live) ? live : []).map((item) => [keyOf(item, shape.by), item]))
    for (const item of applied) {
      const key = keyOf(item, shape.by)
      items.set(key, merge(plural, items.get(key), item, below(path, key)))
    }
    return [...items.values()]
  }
  if (shape.as === 'set' && isList(applied)) {
    return [...new Set([...(isList(live) ? live : []), ...applied])]
  }
  return applied
}

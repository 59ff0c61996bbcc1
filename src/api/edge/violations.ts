import type { TSchema } from 'typebox'
import { formats } from '../../shared/formats.ts'
import { mostViolations, pointerPart, type Violation } from '../../shared/problem.ts'
import { isRecord } from '../../shared/shape.ts'
import { unstorable } from '../../shared/unstorable.ts'

type Json = Readonly<Record<string, unknown>>

type Looking = { readonly found: Violation[] }

/** The rules of a schema that a value breaks, the first hundred of them; fields are JSON Pointers below
 *  `place`. Takes no longer than it takes to read as much of the value: counts are looked at before
 *  what they count. */
export function violationsOf(
  schema: TSchema,
  value: unknown,
  { place = '' }: { place?: string } = {},
): readonly Violation[] {
  const looking = { found: [] }
  look(looking, record(schema), value, place)
  if (looking.found.length > 0) return looking.found
  const path = unstorable(value, place)
  if (path === undefined) return []
  const message = `${nameOf(path)} must be text without NUL and without halves of characters`
  return [{ field: path, message }]
}

function look(looking: Looking, schema: Json, value: unknown, path: string): void {
  if (isFull(looking)) return
  if (Array.isArray(schema.anyOf)) {
    lookAtEither(looking, schema.anyOf.map(record), value, path)
  } else if (Array.isArray(schema.enum)) {
    if (!schema.enum.includes(value)) add(looking, path, `must be one of ${schema.enum.join(', ')}`)
  } else if ('const' in schema) {
    if (schema.const !== value) add(looking, path, `must be ${JSON.stringify(schema.const)}`)
  } else if (!fitsType(schema, value)) {
    add(looking, path, `must be of type ${String(schema.type)}`)
  } else if (typeof value === 'string') {
    lookAtText(looking, schema, value, path)
  } else if (Array.isArray(value)) {
    lookAtItems(looking, schema, value, path)
  } else if (typeof value === 'object' && value !== null) {
    lookAtMembers(looking, schema, record(value), path)
  } else {
    lookAtNumber(looking, schema, Number(value), path)
  }
}

/** Of several shapes the one that is meant is the one that breaks fewest rules among those of the
 *  value's type. */
function lookAtEither(
  looking: Looking,
  shapes: readonly Json[],
  value: unknown,
  path: string,
): void {
  const alike = shapes.filter((shape) => fitsType(shape, value))
  const [meant] = alike
    .map((shape) => {
      const found: Violation[] = []
      look({ ...looking, found }, shape, value, path)
      return found
    })
    .sort((a, b) => a.length - b.length)
  if (meant) for (const each of meant) addWhole(looking, each)
  else add(looking, path, `must be of type ${shapes.map(({ type }) => String(type)).join(' or ')}`)
}

function lookAtText(looking: Looking, schema: Json, value: string, path: string): void {
  const least = limit(schema, 'minLength', 0)
  const most = limit(schema, 'maxLength', Number.POSITIVE_INFINITY)
  // A character has one unit of UTF-16, or two.
  const length = value.length > 2 * most ? value.length : [...value].length
  if (length > most) {
    add(looking, path, `must NOT have more than ${most} characters`)
    return
  }
  if (length < least) {
    add(looking, path, `must NOT have fewer than ${least} characters`)
    return
  }
  if (typeof schema.pattern === 'string' && !new RegExp(schema.pattern, 'u').test(value)) {
    add(looking, path, `must match pattern "${schema.pattern}"`)
  }
  if (typeof schema.format === 'string' && formats.get(schema.format)?.(value) === false) {
    add(looking, path, `must match format "${schema.format}"`)
  }
}

function lookAtItems(
  looking: Looking,
  schema: Json,
  items: readonly unknown[],
  path: string,
): void {
  const least = limit(schema, 'minItems', 0)
  const most = limit(schema, 'maxItems', Number.POSITIVE_INFINITY)
  if (items.length > most) {
    add(looking, path, `must NOT have more than ${most} items`)
    return
  }
  if (items.length < least) add(looking, path, `must NOT have fewer than ${least} items`)
  if (schema.uniqueItems === true && !areUnique(items)) {
    add(looking, path, 'must NOT have duplicate items')
  }
  for (const [index, item] of items.entries()) {
    if (isFull(looking)) return
    look(looking, record(schema.items), item, `${path}/${index}`)
  }
}

function lookAtMembers(looking: Looking, schema: Json, members: Json, path: string): void {
  const known = record(schema.properties)
  const patterns = Object.entries(record(schema.patternProperties))
  const most = limit(schema, 'maxProperties', Number.POSITIVE_INFINITY)
  const required = Array.isArray(schema.required) ? schema.required.map(String) : []
  for (const name of required) {
    if (Object.hasOwn(members, name)) continue
    addWhole(looking, { field: `${path}/${pointer(name)}`, message: `${name} is required` })
  }
  const names = Object.keys(members)
  if (names.length > most) {
    add(looking, path, `must NOT have more than ${most} properties`)
    return
  }
  for (const name of names) {
    if (isFull(looking)) return
    const inner = `${path}/${pointer(name)}`
    const pattern = patterns.find(([each]) => new RegExp(each, 'u').test(name))
    const shape = Object.hasOwn(known, name) ? known[name] : pattern?.[1]
    if (shape !== undefined) look(looking, record(shape), members[name], inner)
    else if (schema.additionalProperties === false) {
      const [named] = patterns
      const allowed = named ? `names match ${named[0]}` : `fields are ${listed(known)}`
      const message = `"${shortened(name)}" is not a field here; ${allowed}`
      addWhole(looking, { field: inner, message })
    }
  }
}

function lookAtNumber(looking: Looking, schema: Json, value: number, path: string): void {
  const least = limit(schema, 'minimum', Number.NEGATIVE_INFINITY)
  const most = limit(schema, 'maximum', Number.POSITIVE_INFINITY)
  if (value < least) add(looking, path, `must be >= ${least}`)
  if (value > most) add(looking, path, `must be <= ${most}`)
}

function fitsType({ type, enum: values }: Json, value: unknown): boolean {
  if (Array.isArray(values)) return values.some((each) => typeof each === typeof value)
  if (type === undefined) return true
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return isRecord(value)
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'number') return Number.isFinite(value)
  return typeof value === type
}

/** Whether no two items are the same, in linear time. */
export function areUnique(items: readonly unknown[]): boolean {
  const keys = items.map((item) => (typeof item === 'string' ? item : JSON.stringify(item)))
  return new Set(keys).size === items.length
}

function add(looking: Looking, path: string, fault: string): void {
  addWhole(looking, { field: path, message: `${nameOf(path)} ${fault}` })
}

function addWhole(looking: Looking, { field, message }: Violation): void {
  if (!isFull(looking)) looking.found.push({ field: shortened(field), message })
}

function isFull({ found }: Looking): boolean {
  return found.length >= mostViolations
}

/** The last part of a JSON Pointer, as a sentence begins. */
function nameOf(path: string): string {
  return path === '' ? 'The body' : shortened(path.slice(path.lastIndexOf('/') + 1))
}

/** What was sent as a name may be as long as a body. */
function shortened(name: string): string {
  return name.length > 200 ? `${name.slice(0, 200).toWellFormed()}…` : name.toWellFormed()
}

function pointer(name: string): string {
  return pointerPart(shortened(name))
}

function listed(properties: Json): string {
  const names = Object.keys(properties)
  return names.length === 0 ? 'none' : names.join(', ')
}

function limit(schema: Json, key: string, otherwise: number): number {
  const value = schema[key]
  return typeof value === 'number' ? value : otherwise
}

function record(value: unknown): Json {
  return isRecord(value) ? value : {}
}

import { type Cause, required, wrong } from '../apiserver/status.ts'
import { type Fields, isFields, isList, type Json } from '../json.ts'

/** A shape of JSON, as small as this page allows: a type's name, `A|B` for one of several words, `any`,
 *  `[shape]` for a list, `{ '*': shape }` for a map, or an object of members, `!` after a required one. */
export type Schema = string | readonly [Schema] | { readonly [member: string]: Schema }

/** What a value is against its schema: itself without unknown members, those members, and the causes of
 *  a 422. A null member counts as absent. */
export type Checked = {
  readonly value: Json
  readonly unknown: readonly string[]
  readonly causes: readonly Cause[]
}

/** Checks `value`, which stands at `path` (`spec.servers[0]`). */
export function check(schema: Schema, value: Json, path = ''): Checked {
  const unknown: string[] = []
  const causes: Cause[] = []
  const pruned = visit(schema, value, path, unknown, causes)
  return { value: pruned, unknown, causes }
}

function visit(
  schema: Schema,
  value: Json,
  path: string,
  unknown: string[],
  causes: Cause[],
): Json {
  if (typeof schema === 'string') return visitScalar(schema, value, path, causes)
  if (isSequence(schema)) {
    if (!isList(value)) return mistyped('array', value, path, causes)
    return value.map((each, index) => visit(schema[0], each, `${path}[${index}]`, unknown, causes))
  }
  if (!isFields(value)) return mistyped('object', value, path, causes)
  return visitMembers(schema, value, path, unknown, causes)
}

function visitMembers(
  schema: { readonly [member: string]: Schema },
  value: Fields,
  path: string,
  unknown: string[],
  causes: Cause[],
): Json {
  const kept: { [name: string]: Json } = {}
  for (const [name, each] of Object.entries(value)) {
    const here = path ? `${path}.${name}` : name
    const member = schema[name] ?? schema[`${name}!`] ?? schema['*']
    if (member === undefined) unknown.push(here)
    else if (each !== null) kept[name] = visit(member, each, here, unknown, causes)
  }
  for (const member of Object.keys(schema)) {
    const name = member.slice(0, -1)
    if (!member.endsWith('!') || Object.hasOwn(kept, name)) continue
    causes.push(required(path ? `${path}.${name}` : name))
  }
  return kept
}

function visitScalar(schema: string, value: Json, path: string, causes: Cause[]): Json {
  if (schema === 'any') return value
  if (schema.includes('|')) {
    const words = schema.split('|')
    if (typeof value === 'string' && words.includes(value)) return value
    const supported = words.map((word) => JSON.stringify(word)).join(', ')
    const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`
    causes.push({ reason: 'FieldValueNotSupported', message, field: path })
    return value
  }
  if (schema === 'duration') return visitDuration(value, path, causes)
  const fits = schema === 'integer' ? Number.isInteger(value) : typeof value === schema
  return fits ? value : mistyped(schema, value, path, causes)
}

function visitDuration(value: Json, path: string, causes: Cause[]): Json {
  if (typeof value !== 'string') return mistyped('string', value, path, causes)
  const parts = /^([\d.]+(ms|us|ns|s|m|h))+$/.test(value)
    ? [...value.matchAll(/([\d.]+)(\w+?)(?=\d|$)/g)]
    : []
  const long = parts.some(
    ([, count = '', unit = '']) => Number(count) >= (shortest.get(unit) ?? 1e9),
  )
  if (!long) causes.push(wrong(path, value, 'must be a valid duration greater than 1ms'))
  return value
}

/** Of each unit what makes a millisecond at least. */
const shortest = new Map([
  ['h', 1 / 3_600_000],
  ['m', 1 / 60_000],
  ['s', 1 / 1000],
  ['ms', 1],
  ['us', 1000],
  ['ns', 1_000_000],
])

function mistyped(type: string, value: Json, path: string, causes: Cause[]): Json {
  const cause = wrong(path, value, `${path} in body must be of type ${type}`)
  causes.push({ ...cause, reason: 'FieldValueTypeInvalid' })
  return value
}

function isSequence(schema: Schema): schema is readonly [Schema] {
  return Array.isArray(schema)
}

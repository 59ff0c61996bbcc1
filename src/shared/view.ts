import type Type from 'typebox'
import { shaped } from './shape.ts'

/** The values of an answer before they are given its type: where the type names certain words, any
 *  text may have been stored, by an older release, a newer one, or a CA elsewhere. */
type Loose<T> = T extends string
  ? string
  : T extends readonly (infer Item)[]
    ? readonly Loose<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: Loose<T[Key]> }
      : T

/** `value` as the answer that `schema` describes. It is shown as it is: a schema of answers tells
 *  clients what to expect, and never refuses what exists. What may be *asked for* is decided by the
 *  schemas of requests, when it is asked for. */
export function shown<T extends Type.TSchema>(
  schema: T,
  value: Loose<Type.Static<T>>,
): Type.Static<T> {
  return as(schema, value)
}

/** The same for a part of an answer that is stored as JSON, which has its shape in any case. */
export function shownJson<T extends Type.TSchema>(schema: T, json: unknown): Type.Static<T> {
  return as(schema, shaped(schema, json))
}

function as<T extends Type.TSchema>(schema: T, value: unknown): Type.Static<T> {
  if (!isShown(schema, value)) throw new Error('everything is shown')
  return value
}

function isShown<T extends Type.TSchema>(_schema: T, _value: unknown): _value is Type.Static<T> {
  return true
}

const first = Date.parse('0000-01-01T00:00:00Z')
const last = Date.parse('9999-12-31T23:59:59.999Z')

/** A stored time in the text of RFC 3339, which knows the years 0 to 9999: what lies beyond them is
 *  shown as the first or the last of its moments. */
export function timestamp(at: Date): string {
  const time = at.getTime()
  if (time >= first && time <= last) return at.toISOString()
  return new Date(Math.min(Math.max(Number.isNaN(time) ? last : time, first), last)).toISOString()
}

/** The same of a time that there may be none of. */
export function timestampOrNull(at: Date | null): string | null {
  return at && timestamp(at)
}

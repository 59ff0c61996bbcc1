import Type from 'typebox'
import { Compile } from 'typebox/compile'

/** `value` in the shape that `schema` has, for a part of an answer that is stored as JSON. Another release
 *  may have stored it: words, numbers and members that are not known are left as they are, and what is
 *  missing or of another kind is empty, so that one row that reads oddly keeps nobody from the others. */
export function shaped(schema: Type.TSchema, value: unknown): unknown {
  if (Type.IsUnion(schema)) return shapedUnion(schema, value)
  if (Type.IsArray(schema)) {
    return Array.isArray(value) ? value.map((item) => shaped(schema.items, item)) : []
  }
  if (Type.IsObject(schema)) return shapedObject(schema, value)
  if (Type.IsRecord(schema)) return isRecord(value) ? value : {}
  if (Type.IsBoolean(schema)) return value === true
  if (Type.IsInteger(schema) || isNumbers(schema)) {
    return typeof value === 'number' ? Math.trunc(value) : 0
  }
  return Type.IsString(schema) || Type.IsEnum(schema) ? text(value) : value
}

/** Of a value that may be null. */
function shapedUnion({ anyOf }: Type.TUnion, value: unknown): unknown {
  const [inner, ...more] = anyOf.filter((each) => !Type.IsNull(each))
  if (inner === undefined || more.length > 0) return value
  return value === null || value === undefined ? null : shaped(inner, value)
}

function shapedObject({ properties }: Type.TObject, value: unknown): object {
  const members = isRecord(value) ? value : {}
  const held = Object.entries(properties).flatMap(([key, schema]) => {
    const member: unknown = members[key]
    const absent = member === undefined || member === null
    return absent && Type.IsOptional(schema) ? [] : [[key, shaped(schema, member)] as const]
  })
  const unknown = Object.entries(members).filter(([key]) => !(key in properties))
  return Object.fromEntries([...held, ...unknown])
}

/** Whether a value is an object of named members. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNumbers(schema: Type.TSchema): boolean {
  return Type.IsEnum(schema) && schema.enum.every((each) => typeof each === 'number')
}

function text(value: unknown): string {
  if (typeof value === 'string') return value
  return value === null || value === undefined ? '' : JSON.stringify(value)
}

type Check = (value: unknown) => boolean

/** Compiled when first asked for: a check takes a tenth of what reading the schema each time does, and thousands of
 *  objects of a cluster, or rows, are checked in one go. */
const checks = new WeakMap<Type.TSchema, Check>()

/** Whether a value is what a schema describes. The schema is one that lives as long as its module. */
export function conforms<T extends Type.TSchema>(
  schema: T,
  value: unknown,
): value is Type.Static<T> {
  return checkOf(schema)(value)
}

/** The value, which is what a schema describes; `otherwise` says what went wrong if it is not. */
export function mustConform<T extends Type.TSchema>(
  schema: T,
  value: unknown,
  otherwise: string,
): Type.Static<T> {
  if (!conforms(schema, value)) throw new Error(otherwise)
  return value
}

function checkOf(schema: Type.TSchema): Check {
  const known = checks.get(schema)
  if (known) return known
  const validator = Compile(schema)
  const check: Check = (value) => validator.Check(value)
  checks.set(schema, check)
  return check
}

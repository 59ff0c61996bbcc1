import Type from 'typebox'
import type { Field } from './field.ts'
import { wordFor } from './words.ts'

/** A GraphQL type made of a wire shape: the shape's members without those named in `without`, and the
 *  `fields` that take their place or stand beside them. */
export type Shape = {
  readonly name: string
  readonly schema: Type.TObject
  readonly without?: readonly string[]
  readonly fields?: Readonly<Record<string, Field>>
}

/** Definitions by name, as found on the way. */
type Found = Map<string, string>

/** The shapes in GraphQL's schema language, with all types that they consist of. What has a title is
 *  called so, what has none after its place: Host.status.clusters would be HostStatusCluster. */
export function sdlOf(shapes: readonly Shape[]): string {
  const found: Found = new Map(shapes.map(({ name }) => [name, '']))
  for (const shape of shapes) found.set(shape.name, objectSdl(found, shape))
  return [...found.values()].join('\n\n')
}

function objectSdl(found: Found, { name, schema, without = [], fields = {} }: Shape): string {
  const members = Object.entries(schema.properties)
    .filter(([key]) => !without.includes(key) && !(key in fields))
    .map(
      ([key, member]) =>
        `${described(member, name, key)}${key}: ${typeOf(found, name + capital(key), member)}`,
    )
  const more = Object.entries(fields).map(
    ([key, { type, description, args }]) =>
      `${described({ description }, name, key)}${key}${argsOf(found, args)}: ${type}`,
  )
  return `${described(schema, name)}type ${name} {\n${[...members, ...more].join('\n')}\n}`
}

/** What is given as an argument: its enumerations are those of the answers. */
function inputSdl(found: Found, name: string, schema: Type.TObject): string {
  const members = Object.entries(schema.properties).map(([key, member]) => {
    const type = typeOf(found, name + capital(key), member, 'input')
    return `${described(member, `${name}Input`, key)}${key}: ${type}`
  })
  return `${described(schema, `${name}Input`)}input ${name}Input {\n${members.join('\n')}\n}`
}

function argsOf(found: Found, { properties }: Type.TObject): string {
  const args = Object.entries(properties).map(([key, arg]) => {
    const preset = wordOf(arg, 'default')
    const type = typeOf(found, capital(key), arg, 'input')
    return `${described(arg, '', key)}${key}: ${type}${preset === undefined ? '' : ` = ${preset}`}`
  })
  return args.length === 0 ? '' : `(\n${args.join('\n')}\n)`
}

/** Whether a type is answered, or given as an argument. */
type Way = 'output' | 'input'

function typeOf(found: Found, place: string, schema: Type.TSchema, way: Way = 'output'): string {
  const all = Type.IsUnion(schema) ? schema.anyOf.filter((each) => !Type.IsNull(each)) : [schema]
  // In GraphQL a list is given as its one item, too.
  const list = all.find(Type.IsArray)
  const one = way === 'input' && all.length === 2 && list ? [list] : all
  const [inner] = one
  if (one.length !== 1 || inner === undefined) throw new Error(`${place} is more than one type`)
  const isNull = Type.IsUnion(schema) && schema.anyOf.some((each) => Type.IsNull(each))
  const nullable = isNull || Type.IsOptional(schema) || Type.IsUnknown(schema)
  return nameOf(found, place, inner, way) + (nullable ? '' : '!')
}

function nameOf(found: Found, place: string, schema: Type.TSchema, way: Way): string {
  const name = wordOf(schema, 'title') ?? place
  if (Type.IsArray(schema)) return `[${typeOf(found, singular(place), schema.items, way)}]`
  if (Type.IsObject(schema)) {
    return way === 'input'
      ? define(found, `${name}Input`, () => inputSdl(found, name, schema))
      : define(found, name, () => objectSdl(found, { name, schema }))
  }
  if (Type.IsEnum(schema)) {
    if (schema.enum.every((value) => typeof value === 'number')) return 'Int'
    if (!schema.enum.every((value) => /^[_A-Za-z]\w*$/.test(String(value)))) return 'String'
    return define(found, name, () => enumSdl(name, schema))
  }
  if (Type.IsString(schema)) return strings.get(wordOf(schema, 'format') ?? '') ?? 'String'
  if (Type.IsInteger(schema)) return 'Int'
  if (Type.IsNumber(schema)) return 'Float'
  if (Type.IsBoolean(schema)) return 'Boolean'
  return 'JSON'
}

const strings = new Map([
  ['uuid', 'ID'],
  ['date-time', 'DateTime'],
])

function define(found: Found, name: string, definition: () => string): string {
  if (!found.has(name)) found.set(name, definition())
  return name
}

function enumSdl(name: string, schema: Type.TEnum): string {
  const values = schema.enum.map((value) => `${described({}, name, String(value))}${value}`)
  return `${described(schema, name)}enum ${name} {\n${values.join('\n')}\n}`
}

/** What a schema says of itself, or what is said of its place. */
function described(schema: object, type: string, member = ''): string {
  const inner = Type.IsUnion(schema) ? schema.anyOf[0] : undefined
  const description =
    wordOf(schema, 'description') ?? wordOf(inner ?? {}, 'description') ?? wordFor(type, member)
  return description === undefined ? '' : `${JSON.stringify(description)}\n`
}

function wordOf(schema: object, key: string): string | undefined {
  const value = new Map<string, unknown>(Object.entries(schema)).get(key)
  return value === undefined ? undefined : String(value)
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}

function singular(word: string): string {
  return word.replace(/s$/, '')
}

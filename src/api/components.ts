import { isDeepStrictEqual } from 'node:util'
import { isRecord } from '../shared/shape.ts'

type Json = Readonly<Record<string, unknown>>

/** What of a document is named: `value` with references in the place of every schema that has a title, and
 *  these schemas by their titles, so that generated clients name their types so. What is told of a schema where
 *  it is used stays there. Throws where one title is that of two schemas. */
export function namedSchemas(value: unknown): {
  readonly value: unknown
  readonly schemas: Readonly<Record<string, unknown>>
} {
  const schemas: Record<string, Json> = {}
  return { value: visit(value), schemas }

  function visit(part: unknown): unknown {
    if (Array.isArray(part)) return part.map(visit)
    if (!isRecord(part)) return part
    // What is an example is no schema.
    const seen = typed(
      Object.fromEntries(
        Object.entries(part).map(([key, each]) => [key, key === 'examples' ? each : visit(each)]),
      ),
    )
    return isNamed(seen) ? referenceTo(seen) : seen
  }

  function referenceTo({ description, examples, ...schema }: Named): Json {
    const { title } = schema
    const { description: told, examples: shown, ...held } = schemas[title] ?? schema
    if (!isDeepStrictEqual(held, schema)) throw new Error(`Two schemas have the title ${title}`)
    const about = told ?? description
    // Those of a body stand beside it already.
    const all = { description: about, ...schema, examples: shown ?? examples }
    schemas[title] = JSON.parse(JSON.stringify(all))
    const own = description === undefined || description === about ? {} : { description }
    return { $ref: `#/components/schemas/${title}`, ...own }
  }
}

type Named = Json & { readonly title: string }

/** A title of a schema is one word; a parameter or a property may be called `title`, too. */
function isNamed(schema: Json): schema is Named {
  return typeof schema.title === 'string' && /^[A-Z][A-Za-z0-9]+$/.test(schema.title)
}

/** Generators look at the type first, also of what is one of a few words, and of what may be null. */
function typed(schema: Json): Json {
  const { enum: words, anyOf } = schema
  if (Array.isArray(words) && !('type' in schema)) {
    const type = words.every(Number.isInteger) ? 'integer' : 'string'
    return { type, ...schema }
  }
  if (!Array.isArray(anyOf) || anyOf.length !== 2) return schema
  const [one, none]: readonly unknown[] = anyOf
  if (!isRecord(one) || !isRecord(none) || none.type !== 'null') return schema
  if (typeof one.type !== 'string' || 'enum' in one || 'title' in one) return schema
  const { anyOf: _, ...rest } = schema
  return { ...one, ...rest, type: [one.type, 'null'] }
}

import type { Field } from './field.ts'
import { query } from './queries.ts'
import { type Shape, sdlOf } from './sdl.ts'
import { types } from './types.ts'

const shapes: readonly Shape[] = [query, ...types]

/** The whole schema in GraphQL's schema language. */
export const sdl = `
"RFC 3339, UTC"
scalar DateTime

"Any JSON value"
scalar JSON

${sdlOf(shapes)}
`

/** How the fields that are more than members of a shape are answered, by type and name. */
export const resolvers: Readonly<Record<string, Readonly<Record<string, Field['resolve']>>>> =
  Object.fromEntries(
    shapes.flatMap(({ name, fields }) => {
      if (fields === undefined) return []
      const own = Object.entries(fields).map(([key, { resolve }]) => [key, resolve] as const)
      return [[name, Object.fromEntries(own)] as const]
    }),
  )

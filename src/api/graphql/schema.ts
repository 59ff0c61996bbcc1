import { allowScope } from '../../core/actor.ts'
import { scopeOfType } from '../scopes.ts'
import type { Field } from './field.ts'
import { query } from './reading/queries.ts'
import { types } from './reading/types.ts'
import { type Shape, sdlOf } from './sdl.ts'

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
      const own = Object.entries(fields).map(([key, each]) => [key, scoped(name, each)] as const)
      return [[name, Object.fromEntries(own)] as const]
    }),
  )

/** A field is answered to who has the scope of what it leads to; a part of what was answered already
 *  needs none of its own. */
function scoped(parent: string, { type, resolve }: Field): Field['resolve'] {
  const scope = scopeOfType(type)
  if (scope === undefined && parent !== query.name) return resolve
  return (from, args, asking) => {
    allowScope(asking.actor, scope)
    return resolve(from, args, asking)
  }
}

import { allow, allowScope } from '../../core/actor.ts'
import { must } from '../../shared/must.ts'
import { scopeOfType } from '../scopes.ts'
import type { Asking, Field, Needs } from './field.ts'
import { subscription } from './following/subscriptions.ts'
import { mutation } from './mutations.ts'
import { loadsFor } from './reading/loads.ts'
import { query } from './reading/queries.ts'
import { types } from './reading/types.ts'
import { type Shape, sdlOf } from './sdl.ts'

const shapes: readonly Shape[] = [query, mutation, subscription, ...types]

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
function scoped(parent: string, field: Field): Field['resolve'] {
  const { type, resolve, needs } = field
  if (needs !== undefined) return writing(field, needs)
  const scope = scopeOfType(type)
  if (scope === undefined && parent !== query.name && parent !== subscription.name) return resolve
  return (from, args, asking) => {
    allowScope(asking.actor, scope)
    return resolve(from, args, asking)
  }
}

/** A field that changes something asks who may before it looks at what is to be done. What was read before it in the
 *  same request is read anew behind it. */
function writing({ resolve }: Field, { permission, scope }: Needs): Field['resolve'] {
  return (from, args, asking: Asking) => {
    const { ctx, actor } = asking
    allow(actor, permission)
    allowScope(actor, scope)
    asking.count?.()
    Object.assign(asking, { loads: loadsFor(ctx, actor) })
    return resolve(from, args, asking)
  }
}

/** What each subscription follows, for who has the scope of it. */
export const follows: ReadonlyMap<string, Follow> = new Map(
  Object.entries(subscription.fields ?? {}).map(([name, field]) => [
    name,
    (_: unknown, args: unknown, asking: Asking) => {
      allowScope(asking.actor, scopeOfType(field.type))
      return must(field.follow, 'a subscription follows something')(args, asking)
    },
  ]),
)

type Follow = (from: unknown, args: unknown, asking: Asking) => AsyncIterable<unknown>

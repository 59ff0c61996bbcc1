import type Type from 'typebox'
import Value from 'typebox/value'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { refuse } from '../../shared/problem.ts'
import { closed } from '../../shared/schema.ts'
import { violationsOf } from '../edge/violations.ts'
import type { Loads } from './reading/loads.ts'

/** What every field is resolved with. */
export type Asking = { readonly ctx: Context; readonly actor: Actor; readonly loads: Loads }

/** A field that is more than a member of a wire shape: its type in GraphQL, its arguments as a closed
 *  shape, and how it is answered. */
export type Field = {
  readonly type: string
  readonly description: string
  readonly args: Type.TObject
  // A method, so that fields of different parents fit into one table.
  resolve(parent: unknown, args: unknown, asking: Asking): unknown
}

/** A field whose arguments are held to their shape before it is answered, as REST holds a query to
 *  its own. Throws request-invalid with every violation. */
export function field<Parent, Args extends Type.TProperties>(of: {
  readonly type: string
  readonly description: string
  readonly args: Args
  readonly resolve: (
    parent: Parent,
    args: Type.Static<Type.TObject<Args>>,
    asking: Asking,
  ) => unknown
}): Field {
  const args = closed(of.args)
  return {
    ...of,
    args,
    resolve: (parent: Parent, sent: unknown, asking: Asking) =>
      of.resolve(parent, Value.Parse(args, given(args, sent)), asking),
  }
}

/** A field that leads from one thing to another and takes no arguments. */
export function relation<Parent>(
  type: string,
  description: string,
  resolve: (parent: Parent, asking: Asking) => unknown,
): Field {
  return {
    type,
    description,
    args: closed({}),
    resolve: (parent: Parent, _args: unknown, asking: Asking) => resolve(parent, asking),
  }
}

/** What was given, held to the shape of the arguments. Throws request-invalid with every violation. */
export function given(schema: Type.TObject, args: unknown): Readonly<Record<string, unknown>> {
  // In GraphQL an argument that is null is one that was not given.
  const sent = Object.fromEntries(Object.entries(args ?? {}).filter(([, value]) => value !== null))
  refuse('request-invalid', violationsOf(schema, sent))
  return sent
}

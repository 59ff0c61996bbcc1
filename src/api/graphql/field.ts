import Type from 'typebox'
import Value from 'typebox/value'
import type { Actor, Permission, Scope } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { refuse } from '../../shared/problem.ts'
import { closed } from '../../shared/schema.ts'
import { isRecord } from '../../shared/shape.ts'
import { violationsOf } from '../edge/violations.ts'
import type { Loads } from './reading/loads.ts'

/** What every field is resolved with. */
export type Asking = {
  readonly ctx: Context
  readonly actor: Actor
  readonly loads: Loads
  /** Counts a change against the limits of who asks. Throws rate-limited. */
  readonly count?: () => void
  /** Of who follows: asks anew who it is, and when to end. */
  readonly following?: Following
}

/** Who follows what happens, for as long as that one may. */
export type Following = {
  readonly signal: AbortSignal
  /** Who asks, once more. Throws what admission throws. */
  readonly admitted: () => Promise<Actor>
}

/** A field that is more than a member of a wire shape: its type in GraphQL, its arguments as a closed
 *  shape, and how it is answered. */
export type Field = {
  readonly type: string
  readonly description: string
  readonly args: Type.TObject
  /** What it takes to write; a reading needs the scope of what it leads to. */
  readonly needs?: Needs
  // A method, so that fields of different parents fit into one table.
  resolve(parent: unknown, args: unknown, asking: Asking): unknown
  /** Of a subscription: what it is answered for, again and again. */
  follow?(args: unknown, asking: Asking): AsyncIterable<unknown>
}

/** What credentials must have before anything of a request is looked at. */
export type Needs = { readonly permission: Permission; readonly scope: Scope }

/** A field whose arguments are held to their shape before it is answered, as REST holds a query to
 *  its own. Throws request-invalid with every violation. */
export function field<Parent, Args extends Type.TProperties>(of: {
  readonly type: string
  readonly description: string
  readonly args: Args
  readonly needs?: Needs
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

/** A field of a subscription: each of what `follow` gives is its answer once. */
export function followed<Args extends Type.TProperties>({
  follow,
  ...of
}: {
  readonly type: string
  readonly description: string
  readonly args: Args
  readonly follow: (args: Type.Static<Type.TObject<Args>>, asking: Asking) => AsyncIterable<unknown>
}): Field {
  const args = closed(of.args)
  return {
    ...of,
    args,
    resolve: (told: unknown) => told,
    follow: (sent: unknown, asking: Asking) => follow(Value.Parse(args, given(args, sent)), asking),
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
  const sent = asJson(schema, args)
  refuse('request-invalid', violationsOf(schema, sent))
  return isRecord(sent) ? sent : {}
}

/** A value of GraphQL as REST has it: null is left out where it says nothing, and a list of one is that one where
 *  either may be given. */
function asJson(schema: Type.TSchema, value: unknown): unknown {
  if (Type.IsUnion(schema)) return asEither(schema, value)
  if (Type.IsArray(schema) && Array.isArray(value)) {
    return value.map((item) => asJson(schema.items, item))
  }
  if (!Type.IsObject(schema) || !isRecord(value)) return value
  const members = Object.entries(value).flatMap(([name, member]) => {
    const shape = schema.properties[name]
    if (shape === undefined) return [[name, member]]
    return member === null && !takesNull(shape) ? [] : [[name, asJson(shape, member)]]
  })
  return Object.fromEntries(members)
}

function asEither({ anyOf }: Type.TUnion, value: unknown): unknown {
  const shapes = anyOf.filter((each) => !Type.IsNull(each))
  const one = shapes.find((each) => !Type.IsArray(each))
  const [shape] = shapes
  if (value === null || shape === undefined) return value
  if (shapes.length === 1 || one === undefined) return asJson(shape, value)
  const items = Array.isArray(value) ? value : [value]
  if (items.length === 1) {
    const only = asJson(one, items[0])
    if (violationsOf(one, only).length === 0) return only
  }
  const list = shapes.find((each) => Type.IsArray(each))
  return list ? asJson(list, items) : value
}

function takesNull(schema: Type.TSchema): boolean {
  return Type.IsUnion(schema) && schema.anyOf.some((each) => Type.IsNull(each))
}

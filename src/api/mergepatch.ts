import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import Value from 'typebox/value'
import type { Precondition } from '../core/refusal.ts'
import { Problem, refuse } from '../shared/problem.ts'
import { isRecord } from '../shared/shape.ts'
import { preconditionOf, versionOf } from './edge/conditions.ts'
import { violationsOf } from './edge/violations.ts'

/** A merge patch as it is sent. */
export const MergePatch = Type.Record(Type.String(), Type.Unknown(), {
  title: 'MergePatch',
  examples: [{ labels: { team: 'shop' } }],
})

/** Whether a request was sent as a merge patch, where JSON means something else. */
export function isMergePatch({ headers }: FastifyRequest): boolean {
  return /^application\/merge-patch\+json\b/i.test(headers['content-type'] ?? '')
}

/** `target` with a merge patch applied (RFC 7396 2): members are merged, null takes one away, and all else
 *  takes the place of what was there. No deeper than a body may be. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch
  const before = isRecord(target) ? target : {}
  const kept = Object.entries(before).filter(([name]) => !Object.hasOwn(patch, name))
  const merged = Object.entries(patch)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, mergePatch(memberOf(before, name), value)] as const)
  return Object.fromEntries([...kept, ...merged])
}

function memberOf(value: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined
}

/** How often a patch is applied anew when others were quicker. */
const mostTries = 10

/** Applies the patch that a request has to the thing as it stands, as applyPatch does. */
export function mergeInto<Schema extends Type.TObject, Answer>(
  request: FastifyRequest,
  merge: Merge<Schema, Answer>,
): Promise<Answer> {
  const { versioned: members = [] } = request.routeOptions.config
  return applyPatch({ patch: request.body, asked: preconditionOf(request), members }, merge)
}

/** A patch, what it expects of the thing, and which members of that make a version of it. */
export type Asked = {
  readonly patch: unknown
  readonly asked: Precondition
  readonly members: readonly string[]
}

/** Applies a patch to the thing as it stands, and writes what comes of it. Whoever changed it meanwhile is not
 *  overwritten: the write expects what was read, and the patch is applied anew. Throws request-invalid where what
 *  comes of it is no `schema`, precondition-failed, what `read` and `write` throw. */
export async function applyPatch<Schema extends Type.TObject, Answer>(
  { patch, asked, members }: Asked,
  { schema, whole = false, replaced = [], read, write }: Merge<Schema, Answer>,
): Promise<Answer> {
  for (let tries = 0; tries < mostTries; tries++) {
    const current = await read()
    const next = whole ? wholeOf(schema, current, patch) : namedIn(current, patch, replaced)
    const held = heldTo(schema, next)
    const version = versionOf(current, members)
    try {
      return await write(held, (now) => {
        asked(now)
        if (now === null || versionOf(now, members) !== version) throw new Overtaken()
      })
    } catch (error) {
      if (!(error instanceof Overtaken)) throw error
    }
  }
  throw new Problem('busy', 'Others change it again and again: try once more')
}

/** A value as a schema has it. Throws request-invalid with every violation. */
export function heldTo<Schema extends Type.TSchema>(
  schema: Schema,
  value: unknown,
): Type.Static<Schema> {
  refuse('request-invalid', violationsOf(schema, value))
  return Value.Parse(schema, value)
}

/** All that is asked for, with the patch applied. */
function wholeOf({ properties }: Type.TObject, current: object, patch: unknown): unknown {
  const held = Object.entries(current).filter(([name]) => Object.hasOwn(properties, name))
  return mergePatch(Object.fromEntries(held), patch)
}

/** What the patch names, merged into what is there; null is for the schema to take, or not. */
function namedIn(current: object, patch: unknown, replaced: readonly string[]): unknown {
  if (!isRecord(patch)) return patch
  const before = new Map<string, unknown>(Object.entries(current))
  return Object.fromEntries(
    Object.entries(patch).map(([name, value]) => [
      name,
      replaced.includes(name) ? value : mergePatch(before.get(name), value),
    ]),
  )
}

type Merge<Schema extends Type.TObject, Answer> = {
  readonly schema: Schema
  /** Whether what is written is all that there is; else it is what the patch names. */
  readonly whole?: boolean
  /** Members that are not merged. */
  readonly replaced?: readonly string[]
  readonly read: () => Promise<object>
  readonly write: (next: Type.Static<Schema>, expected: Precondition) => Promise<Answer>
}

/** It was changed between the reading and the writing of a patch. */
class Overtaken extends Error {}

import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import Value from 'typebox/value'
import type { Context } from '../core/context.ts'
import { bytes, sql } from '../core/database/db.ts'
import { Problem } from '../shared/problem.ts'
import { actorOf } from './edge/admission.ts'
import { isRehearsal } from './rehearsal.ts'

/** How long a first request may take before a retry takes its place. */
const timeoutMilliseconds = 60_000

type Place = { readonly scope: string; readonly key: string }

const places = new WeakMap<FastifyRequest, Place>()

/** For POSTs that create: a request with an Idempotency-Key is done once; the same request again gets
 *  the first answer, another request with that key is refused (idempotency-mismatch), and one that
 *  comes while the first is under way is asked to wait (idempotency-busy). Only answers of success are
 *  kept: what was refused changed nothing and may be sent again. */
export function idempotent(ctx: Context) {
  return {
    preHandler: (request: FastifyRequest, reply: FastifyReply) => begin(ctx, request, reply),
    onSend: (request: FastifyRequest, reply: FastifyReply, payload: unknown) =>
      end(ctx, request, { status: reply.statusCode, payload }),
  }
}

const keyText = { maxLength: 255, pattern: '^[!-~]+$' } as const
const description =
  'The same request with the same key is done once: send it again after a lost answer'

/** The key of a request that is given as an argument. */
export const IdempotencyKey = Type.String({ ...keyText, description })

/** The same as a header, in OpenAPI. */
export const idempotencyHeader = {
  name: 'Idempotency-Key',
  in: 'header',
  description,
  schema: { type: 'string', minLength: 1, ...keyText, examples: ['order-4711'] },
} as const

/** The key that a request carries; for actions that keep it themselves. */
export function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new Problem(
      'request-invalid',
      'Idempotency-Key must be one value of 1 to 255 printable ASCII characters',
    )
  }
  return key
}

async function begin(ctx: Context, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const key = idempotencyKey(request)
  const scope = actorOf(request).id
  if (key === undefined || scope === null || isRehearsal(request)) return undefined
  const now = ctx.now()
  const hash = bytes(requestHash(request))
  const inserted = await ctx.db.read.$executeRaw(sql`
    insert into idempotency_key ("scope", "key", "request", "status", "sealed", "createdAt")
    values (${scope}::uuid, ${key}, ${hash}, 0, ''::bytea, ${now})
    on conflict ("scope", "key") do update set "createdAt" = excluded."createdAt"
    where idempotency_key."status" = 0 and idempotency_key."request" = excluded."request"
      and idempotency_key."createdAt" < ${new Date(now.getTime() - timeoutMilliseconds)}`)
  if (inserted > 0) {
    places.set(request, { scope, key })
    return undefined
  }
  return answerAgain(ctx, reply, { place: { scope, key }, hash })
}

async function answerAgain(
  ctx: Context,
  reply: FastifyReply,
  { place, hash }: { place: Place; hash: Uint8Array },
): Promise<unknown> {
  const first = await ctx.db.read.idempotencyKey.findUnique({ where: { scope_key: place } })
  if (first && Buffer.compare(first.request, hash) !== 0) {
    throw new Problem(
      'idempotency-mismatch',
      'This Idempotency-Key came with another request before; use a new key for a new request',
    )
  }
  if (!first || first.status === 0) {
    throw new Problem('idempotency-busy', 'The first one is under way; try again in a moment')
  }
  const body = ctx.seal.open(bindingOf(place), Buffer.from(first.sealed)).toString('utf8')
  // As an answer, not as text: what the first one bore, such as Location, it bears again.
  return reply.code(first.status).send(body === '' ? undefined : JSON.parse(body))
}

async function end(
  ctx: Context,
  request: FastifyRequest,
  { status, payload }: { status: number; payload: unknown },
): Promise<unknown> {
  const place = places.get(request)
  if (!place) return payload
  const text = typeof payload === 'string' ? payload : ''
  if (status < 300) {
    const sealed = bytes(ctx.seal.seal(bindingOf(place), Buffer.from(text)))
    await keep(ctx, request, { place, data: { status, sealed, about: idIn(text) } })
  } else {
    await ctx.db.read.idempotencyKey.deleteMany({ where: { ...place, status: 0 } })
  }
  return payload
}

/** Keeps an answer for retries. What was asked for is done, so the answer is given even when it cannot be
 *  kept: a retry then does it anew, and is refused where that cannot be. */
async function keep(
  ctx: Context,
  request: FastifyRequest,
  kept: {
    readonly place: Place
    readonly data: {
      readonly status: number
      readonly sealed: Uint8Array<ArrayBuffer>
      readonly about: string | null
    }
  },
): Promise<void> {
  try {
    await ctx.db.read.idempotencyKey.updateMany({ where: kept.place, data: kept.data })
  } catch (error) {
    request.log.warn({ err: error }, 'the answer to an Idempotency-Key could not be kept')
  }
}

/** The id of what an answer is about, if it has one. */
function idIn(text: string): string | null {
  const answer: unknown = text === '' ? null : JSON.parse(text)
  return Value.Check(Identified, answer) ? answer.id : null
}

const Identified = Type.Object({ id: Type.String({ format: 'uuid' }) })

function bindingOf({ scope, key }: Place): string {
  return `idempotency_key/${scope}/${key}`
}

function requestHash({ method, url, body }: FastifyRequest): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([method, url, body]))
    .digest()
}

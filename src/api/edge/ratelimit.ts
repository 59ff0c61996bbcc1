import { hash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { subscriberOf } from '../../audit/address.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import { Problem } from '../../shared/problem.ts'
import { type Meter, meterOf, type RateVerdict } from './rate.ts'

// Limits are kept in the memory of each process: they protect a process from those who ask too much,
// and a count that replicas shared would cost every request more than most requests cost themselves.

type Meters = Readonly<Record<'address' | 'failures' | 'key' | 'tenant', Meter | undefined>>

const metersOf = oncePer((ctx): Meters => {
  const { address, failures, key, tenant } = ctx.config.rates
  const meter = (limit: number) => (limit === 0 ? undefined : meterOf(limit))
  return {
    address: meter(address),
    failures: meter(failures),
    key: meter(key),
    tenant: meter(tenant),
  }
})

/** What says whether this process is well must answer when nothing else does. */
const always: ReadonlySet<string | undefined> = new Set(['/livez', '/readyz'])

/** Every route that is registered afterwards counts against the limit of the address that asks. Throws
 *  rate-limited. */
export function limitAddresses(api: FastifyInstance, ctx: Context): void {
  const { address } = metersOf(ctx)
  if (!address) return
  api.addHook('onRequest', async (request, reply) => {
    if (always.has(request.routeOptions.url)) return
    const verdict = address.take(subscriberOf(request.ip), ctx.now().getTime())
    show(reply, [{ name: 'address', ...verdict }])
    refuseBeyond(verdict, 'this address')
  })
}

/** Counts a request of who has been identified, against the limits of the API key and of its tenant.
 *  Throws rate-limited. */
export function limitActor(ctx: Context, actor: Actor, reply: FastifyReply): void {
  const now = ctx.now().getTime()
  const { key, tenant } = metersOf(ctx)
  const own = actor.id === null ? undefined : key?.take(actor.id, now)
  const ofKey = own ? [{ name: 'key', ...own }] : []
  show(reply, ofKey)
  if (own) refuseBeyond(own, 'this API key')
  const all = actor.tenantId === null ? undefined : tenant?.take(actor.tenantId, now)
  if (!all) return
  show(reply, [...ofKey, { name: 'tenant', ...all }])
  refuseBeyond(all, 'the API keys of this tenant')
}

/** How many requests a minute an actor has, and its tenant, and how many are left; nothing is counted. */
export function limitsOf(ctx: Context, actor: Actor) {
  const meters = metersOf(ctx)
  const whose = { key: actor.id, tenant: actor.tenantId }
  return (['key', 'tenant'] as const).flatMap((name) => {
    const who = whose[name]
    const next = who === null ? undefined : meters[name]?.look(who, ctx.now().getTime())
    if (!next) return []
    const { allowed, limit, remaining, resetSeconds } = next
    return [{ name, limit, remaining: allowed ? remaining + 1 : 0, resetSeconds }]
  })
}

/** Tokens that were good of late, as hashes: they are looked up whatever else comes from an address, so
 *  that who tries tokens locks out nobody who stands behind the same proxy. */
const goodTokens = oncePer(() => new Set<string>())
const mostGoodTokens = 10_000

/** Identifies by `token`, unless too many tokens from that address were refused of late. Throws
 *  rate-limited, and what `look` throws. */
export async function limitFailures<T>(
  ctx: Context,
  { request, token }: { readonly request: FastifyRequest; readonly token: string },
  look: () => Promise<T>,
): Promise<T> {
  const { failures } = metersOf(ctx)
  if (!failures) return look()
  const who = subscriberOf(request.ip)
  const good = goodTokens(ctx)
  const digest = hash('sha256', token, 'base64')
  const verdict = failures.look(who, ctx.now().getTime())
  if (!verdict.allowed && !good.has(digest)) refuseBeyond(verdict, 'refused tokens of this address')
  try {
    const found = await look()
    if (!good.has(digest)) remember(good, digest)
    return found
  } catch (error) {
    if (error instanceof Problem && error.type === 'credentials-refused') {
      good.delete(digest)
      failures.take(who, ctx.now().getTime())
    }
    throw error
  }
}

function remember(good: Set<string>, digest: string): void {
  const [oldest] = good
  if (good.size >= mostGoodTokens && oldest !== undefined) good.delete(oldest)
  good.add(digest)
}

/** draft-ietf-httpapi-ratelimit-headers: the fields of today's draft with every limit, and the three of the
 *  drafts up to 07, which is what most clients read, with the one that runs out first. */
function show(
  reply: FastifyReply,
  limits: readonly (RateVerdict & { readonly name: string })[],
): void {
  const [first] = limits.toSorted((a, b) => a.remaining - b.remaining)
  if (!first) return
  const listed = (of: (one: (typeof limits)[number]) => string) => limits.map(of).join(', ')
  reply.header(
    'ratelimit-policy',
    listed(({ name, limit }) => `"${name}";q=${limit};w=60`),
  )
  reply.header(
    'ratelimit',
    listed(({ name, remaining, resetSeconds }) => `"${name}";r=${remaining};t=${resetSeconds}`),
  )
  reply.header('ratelimit-limit', first.limit)
  reply.header('ratelimit-remaining', first.remaining)
  reply.header('ratelimit-reset', first.resetSeconds)
}

function refuseBeyond({ allowed, limit, resetSeconds }: RateVerdict, whose: string): void {
  if (allowed) return
  const retryAfterSeconds = Math.max(1, resetSeconds)
  throw new Problem(
    'rate-limited',
    `The limit of ${whose} is ${limit} a minute; try again in ${retryAfterSeconds} s`,
    { limit, retryAfterSeconds },
  )
}

import { createLocalJWKSet, errors, type JWTVerifyGetKey, type LocalJWKSet } from 'jose'
import Type from 'typebox'
import Value from 'typebox/value'
import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import { day, minute } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { getJson } from './json.ts'

/** What is read of a provider's metadata (OpenID Connect Discovery 3). */
const Metadata = Type.Object({
  issuer: Type.String(),
  jwks_uri: Type.String({ pattern: '^https?://', maxLength: 2048 }),
})

/** Of each key jose reads the rest when it is used (RFC 7517 5). */
const KeySet = Type.Object({
  keys: Type.Array(Type.Object({ kty: Type.String() }), { maxItems: 100 }),
})

/** Keys are read again when they are as old as this, and are used until then as long as they can not be read. */
const fresh = 10 * minute
const stale = day
/** How long after a reading, and after one that failed, a token may cause the next. */
const pause = 30_000
const failedPause = 5_000
/** For both requests of a reading together. */
const timeoutMilliseconds = 5_000

type Cached = {
  keys: { readonly get: LocalJWKSet; readonly at: number } | undefined
  triedAt: number
  failed: boolean
  reading: Promise<void> | undefined
}

const caches = oncePer((): Cached => {
  return { keys: undefined, triedAt: Number.NEGATIVE_INFINITY, failed: false, reading: undefined }
})

/** The key by which a token of this provider is verified. The provider's keys are kept: they are read again every ten
 *  minutes, behind the requests, and at once for a key that is not among them, which is how a change of keys is
 *  noticed, but not more often than every 30 seconds. While they cannot be read, the ones before are good for a day.
 *  Throws unavailable, and what jose throws for a key that is not there. */
export function providerKeys(
  ctx: Context,
  { issuer }: { readonly issuer: string },
): JWTVerifyGetKey {
  const cached = caches(ctx)
  const age = (since: number) => Math.abs(ctx.now().getTime() - since)
  const known = () => (cached.keys && age(cached.keys.at) < stale ? cached.keys : undefined)
  const readAgain = (): Promise<void> => {
    if (cached.reading) return cached.reading
    if (age(cached.triedAt) < (cached.failed ? failedPause : pause)) return Promise.resolve()
    cached.triedAt = ctx.now().getTime()
    cached.reading = renew(ctx, cached, issuer).finally(() => {
      cached.reading = undefined
    })
    return cached.reading
  }
  return async (header, token) => {
    if (!known()) await readAgain()
    const before = known()
    if (!before) throw unread()
    if (age(before.at) >= fresh) void readAgain()
    try {
      return await before.get(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      await readAgain()
      const after = known()
      if (after !== before && after) return after.get(header, token)
      throw cached.failed ? unread() : error
    }
  }
}

function unread(): Problem {
  return new Problem(
    'unavailable',
    'The identity provider does not tell by which keys its tokens are signed; try again, or use an API key',
    { retryAfterSeconds: failedPause / 1000 },
  )
}

async function renew(ctx: Context, cached: Cached, issuer: string): Promise<void> {
  try {
    const get = createLocalJWKSet(await readKeys(issuer))
    cached.keys = { get, at: ctx.now().getTime() }
    cached.failed = false
  } catch (err) {
    cached.failed = true
    ctx.log.warn({ err, issuer }, 'the keys of the identity provider could not be read')
  }
}

/** Where they are is the provider's to say, and may be on another machine: who could make it say something else
 *  could sign tokens as well. */
async function readKeys(issuer: string) {
  const asking = {
    plain: issuer.startsWith('http:'),
    signal: AbortSignal.timeout(timeoutMilliseconds),
  }
  const place = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const metadata = await getJson(place, asking)
  // OpenID Connect Discovery 4.3.
  if (!Value.Check(Metadata, metadata) || metadata.issuer !== issuer) {
    throw new Error('What it answers is not the metadata of this issuer')
  }
  const keys = await getJson(metadata.jwks_uri, asking)
  if (!Value.Check(KeySet, keys)) throw new Error('What it answers are no keys')
  return keys
}

import type { KeyObject } from 'node:crypto'
import { FlattenedSign, type JWSHeaderParameters } from 'jose'
import Type from 'typebox'
import { accountKey, jwkOf, secretsOfCa } from '../../authorities/acme/secrets.ts'
import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import { conforms, isRecord } from '../../shared/shape.ts'
import { CaRefusal, problemIn, retryAfterOf } from './refusal.ts'
import { type Answer, askCa } from './request.ts'

const Url = Type.String({ minLength: 8, maxLength: 2048 })

const Directory = Type.Object({
  newNonce: Url,
  newAccount: Url,
  newOrder: Url,
  revokeCert: Url,
  keyChange: Type.Optional(Url),
  renewalInfo: Type.Optional(Url),
  meta: Type.Optional(
    Type.Object({
      termsOfService: Type.Optional(Type.String()),
      externalAccountRequired: Type.Optional(Type.Boolean()),
      profiles: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
  ),
})
export type Directory = Readonly<Type.Static<typeof Directory>>

/** An account with a CA elsewhere, ready to sign. */
export type CaSession = {
  readonly authorityId: string
  readonly directoryUrl: string
  readonly trustedRoots: string
  readonly key: KeyObject
  /** Undefined: the CA does not know it yet. */
  readonly url: string | undefined
}

/** The account of an authority. Undefined: it has none, or was given up. */
export async function openCaSession(
  ctx: Context,
  authorityId: string,
): Promise<CaSession | undefined> {
  const row = await ctx.db.read.caAccount.findUnique({ where: { authorityId } })
  return row ? sessionOf(ctx, row) : undefined
}

type Account = {
  readonly authorityId: string
  readonly directory: string
  readonly trustedRoots: string
  readonly url: string | null
}

/** The same of an account that has been read. */
export async function sessionOf(
  ctx: Context,
  { authorityId, directory: directoryUrl, trustedRoots, url }: Account,
): Promise<CaSession | undefined> {
  const secrets = await secretsOfCa(ctx, ctx.db.read, authorityId)
  if (!secrets) return undefined
  const key = accountKey(secrets.key)
  return { authorityId, directoryUrl, trustedRoots, key, url: url ?? undefined }
}

type Kept = { readonly until: number; readonly directory: Directory }
const directories = oncePer(() => new Map<string, Kept>())
const memoryMilliseconds = 600_000
const mostKept = 100

/** What a CA says of itself (RFC 8555 7.1.1), asked for once in ten minutes. Throws CaRefusal. */
export async function directoryOf(
  ctx: Context,
  { directoryUrl: url, trustedRoots }: Pick<CaSession, 'directoryUrl' | 'trustedRoots'>,
): Promise<Directory> {
  const kept = directories(ctx)
  const known = kept.get(url)
  if (known && known.until > performance.now()) return known.directory
  const answer = await askCa(ctx.config, { method: 'GET', url, trustedRoots })
  const directory = jsonIn(answer)
  if (answer.status !== 200 || !conforms(Directory, directory)) {
    const why = answer.status === 200 ? missingIn(directory) : `status ${answer.status}`
    throw new CaRefusal('unreachable', `${url} is no directory of ACME (${why})`)
  }
  if (kept.size >= mostKept) kept.clear()
  kept.set(url, { until: performance.now() + memoryMilliseconds, directory })
  return directory
}

function missingIn(directory: unknown): string {
  if (!isRecord(directory)) return 'it is no JSON object'
  const needed = ['newNonce', 'newAccount', 'newOrder', 'revokeCert']
  const missing = needed.filter((name) => !conforms(Url, directory[name]))
  return missing.length > 0
    ? `it has no URL for ${missing.join(', ')}`
    : 'a member is of another type'
}

/** Nonces that CAs gave and nobody has used, by directory. */
const nonces = oncePer(() => new Map<string, string[]>())
const mostNonces = 20

function keepNonce(ctx: Context, { directoryUrl }: CaSession, { headers }: Answer): void {
  const nonce = headers['replay-nonce']
  if (typeof nonce !== 'string' || nonce.length > 512) return
  const all = nonces(ctx)
  all.set(directoryUrl, [...(all.get(directoryUrl) ?? []), nonce].slice(-mostNonces))
}

async function takeNonce(ctx: Context, session: CaSession): Promise<string> {
  const known = nonces(ctx).get(session.directoryUrl)?.pop()
  if (known !== undefined) return known
  const { newNonce: url } = await directoryOf(ctx, session)
  const { trustedRoots } = session
  keepNonce(ctx, session, await askCa(ctx.config, { method: 'HEAD', url, trustedRoots }))
  const fresh = nonces(ctx).get(session.directoryUrl)?.pop()
  if (fresh !== undefined) return fresh
  throw new CaRefusal('unreachable', `${url} gives no nonce`)
}

/** Signs as ACME has it (RFC 8555 6.2): a flattened JWS by ES256. `payload` undefined: POST-as-GET. */
export function signed(header: JWSHeaderParameters, payload: unknown, key: KeyObject) {
  return jws({ alg: 'ES256', ...header }, payload, key)
}

/** The account key, signed by what binds it to a customer of the CA (RFC 8555 7.3.4). */
export function externalBinding(
  {
    url,
    keyId,
    hmacKey,
  }: { readonly url: string; readonly keyId: string; readonly hmacKey: string },
  key: KeyObject,
) {
  const header = { alg: 'HS256', kid: keyId, url }
  return jws(header, jwkOf(key), Buffer.from(hmacKey, 'base64url'))
}

function jws(header: JWSHeaderParameters, payload: unknown, key: KeyObject | Uint8Array) {
  const octets = Buffer.from(payload === undefined ? '' : JSON.stringify(payload))
  return new FlattenedSign(octets).setProtectedHeader(header).sign(key)
}

type Post = {
  readonly url: string
  /** Undefined: POST-as-GET (RFC 8555 6.3). */
  readonly payload?: unknown
  readonly accept?: string
  /** Signed by the key itself and not in the name of the account. */
  readonly byKey?: boolean
}

/** How often a nonce may be refused: those that were kept may all be too old, and some CAs refuse a few for practice. */
const mostNonceTries = 8

/** Posts to a CA in the name of the account. Throws CaRefusal for every answer but of success. */
export async function postTo(
  ctx: Context,
  session: CaSession,
  { url, payload, accept, byKey = false }: Post,
): Promise<Answer> {
  const by = byKey || session.url === undefined ? { jwk: jwkOf(session.key) } : { kid: session.url }
  for (let tries = 1; ; tries++) {
    const nonce = await takeNonce(ctx, session)
    const answer = await askCa(ctx.config, {
      ...{ method: 'POST', url, trustedRoots: session.trustedRoots },
      headers: { 'content-type': 'application/jose+json', ...(accept ? { accept } : {}) },
      body: JSON.stringify(await signed({ ...by, nonce, url }, payload, session.key)),
    })
    keepNonce(ctx, session, answer)
    if (answer.status >= 200 && answer.status < 300) return answer
    const refusal = refusalOf(ctx, answer)
    if (refusal.problem !== 'badNonce' || tries >= mostNonceTries) throw refusal
  }
}

function refusalOf(ctx: Context, answer: Answer): CaRefusal {
  const { status, headers } = answer
  const { problem, detail } = problemIn(jsonIn(answer), `It answered ${status} and gave no reason`)
  const retryAfter = retryAfterOf(headers['retry-after'], ctx.now())
  return new CaRefusal(problem, detail, { status, retryAfter })
}

/** The JSON of an answer, which nobody has read yet; undefined where it is none. */
export function jsonIn({ body }: Pick<Answer, 'body'>): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

import type { FastifyReply, FastifyRequest } from 'fastify'
import { type AccountRow, accountActor, findAccount } from '../../acme/accounts/find.ts'
import { type AccountJwk, readAccountKey } from '../../acme/accounts/keys.ts'
import { isOurNonce, takeNonce } from '../../acme/nonces.ts'
import { AcmeProblem } from '../../acme/problem.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { isId } from '../../shared/schema.ts'
import { isRecord } from '../../shared/shape.ts'
import type { Api } from '../api.ts'
import { noteAsker } from '../edge/admission.ts'
import { limitActor } from '../edge/ratelimit.ts'
import {
  type Header,
  headerOf,
  type Jws,
  keyIn,
  malformedRequest,
  parsedPayload,
  readJws,
  verifiedBy,
} from './jws.ts'
import { type AcmePlaces, acmePlaces, authorityIn } from './places.ts'

/** A request whose signature, place and nonce have been seen to. */
type Asked = {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly places: AcmePlaces
  readonly header: Header
  /** Undefined in a POST-as-GET (RFC 8555 6.3). */
  readonly payload: unknown
}

/** The same by an account, or by a key that may have none. */
export type ByAccount = Asked & { readonly account: AccountRow; readonly actor: Actor }
export type ByKey = Asked & { readonly jwk: AccountJwk }

type Post<A> = { readonly url: string; readonly answer: (asked: A) => Promise<FastifyReply> }

/** Serves a POST of accounts. */
export function postByAccount(api: Api, ctx: Context, route: Post<ByAccount>): void {
  post(api, ctx, { ...route, read: byAccount })
}

/** Serves a POST that is signed by a key which comes with it. */
export function postByKey(api: Api, ctx: Context, route: Post<ByKey>): void {
  post(api, ctx, { ...route, read: byKey })
}

/** Serves a POST that either may sign. */
export function postByEither(api: Api, ctx: Context, route: Post<ByAccount | ByKey>): void {
  const read = (given: Context, asked: Opened) =>
    asked.header.kid === undefined ? byKey(given, asked) : byAccount(given, asked)
  post(api, ctx, { ...route, read })
}

function post<A>(
  api: Api,
  ctx: Context,
  { url, answer, read }: Post<A> & { read: (ctx: Context, asked: Opened) => Promise<A> },
): void {
  api.post(url, { schema: { hide: true } }, async (request, reply) =>
    answer(await read(ctx, { ...opened(ctx, request), request, reply })),
  )
}

type Opened = Omit<Asked, 'payload'> & { readonly jws: Jws }

/** What needs no key and no database: the form, the place and the nonce. Throws malformed, badSignatureAlgorithm,
 *  unauthorized, badNonce. */
function opened(ctx: Context, request: FastifyRequest) {
  const places = acmePlaces(ctx, request)
  const jws = readJws(request.body)
  const header = headerOf(jws)
  if ((header.jwk === undefined) === (header.kid === undefined)) {
    throw malformedRequest('The protected header needs either jwk or kid')
  }
  if (header.url !== places.requested) {
    throw new AcmeProblem('unauthorized', `url is ${header.url}, and not ${places.requested}`)
  }
  if (header.nonce === undefined || !isOurNonce(ctx, header.nonce)) throw badNonce()
  return { jws, header, places }
}

function badNonce(): AcmeProblem {
  return new AcmeProblem('badNonce', 'The nonce is too old, was used before, or is not from here')
}

async function byAccount(ctx: Context, { jws, ...asked }: Opened): Promise<ByAccount> {
  const { header, places, request, reply } = asked
  const account = await signingAccount(ctx, { request, header, places })
  const octets = await verifiedBy(jws, header, readAccountKey(account.jwk))
  const actor = accountActor(account, request.id)
  noteAsker(request, actor)
  // Whoever has no key of an account is told nothing of it.
  if (account.status !== 'valid') {
    throw new AcmeProblem('unauthorized', `The account is ${account.status}`)
  }
  await spend(ctx, header)
  limitActor(ctx, actor, reply)
  return { ...asked, account, actor, payload: parsedPayload(octets) }
}

async function byKey(ctx: Context, { jws, ...asked }: Opened): Promise<ByKey> {
  const { header } = asked
  const jwk = keyIn(header)
  const octets = await verifiedBy(jws, header, jwk)
  await spend(ctx, header)
  return { ...asked, jwk, payload: parsedPayload(octets) }
}

/** Only what was signed is worth keeping in mind. */
async function spend(ctx: Context, { nonce = '' }: Header): Promise<void> {
  if (!(await takeNonce(ctx, nonce))) throw badNonce()
}

async function signingAccount(
  ctx: Context,
  { request, header, places }: Pick<Asked, 'request' | 'header' | 'places'>,
): Promise<AccountRow> {
  const { kid = '' } = header
  const id = kid.slice(-36)
  const named = isId(id) && kid === places.at('account', id)
  const account = named
    ? await findAccount(ctx, { authority: authorityIn(request), id })
    : undefined
  if (account) return account
  throw new AcmeProblem('accountDoesNotExist', 'kid is the URL of no account here')
}

/** The id that the URL of a request names. Throws malformed (404). */
export function idIn({ request: { params } }: Asked): string {
  const id = isRecord(params) ? String(params.id) : ''
  if (isId(id)) return id
  throw new AcmeProblem('malformed', 'There is nothing at this URL', { status: 404 })
}

/** Throws malformed for what is more than a POST-as-GET. */
export function readingOnly({ payload }: Asked): void {
  if (payload !== undefined)
    throw malformedRequest('This is read by an empty payload (RFC 8555 6.3)')
}

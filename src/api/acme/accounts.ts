import Type from 'typebox'
import { changeAccountKey, changeContact, deactivateAccount } from '../../acme/accounts/change.ts'
import { type AccountRow, accountActor, findAccountOfKey } from '../../acme/accounts/find.ts'
import { readAccountKey } from '../../acme/accounts/keys.ts'
import { checkedContact, openAccount } from '../../acme/accounts/open.ts'
import { findAcmeAuthority } from '../../acme/authority.ts'
import { openAcmeKey } from '../../acme/keys/secret.ts'
import { listOrders } from '../../acme/orders/find.ts'
import { AcmeProblem } from '../../acme/problem.ts'
import type { Context } from '../../core/context.ts'
import { isId } from '../../shared/schema.ts'
import { conforms, isRecord } from '../../shared/shape.ts'
import { jwkThumbprint } from '../../x509/keys/thumbprint.ts'
import type { Api } from '../api.ts'
import { noteAsker } from '../edge/admission.ts'
import { limitActor, limitFailures } from '../edge/ratelimit.ts'
import {
  headerOf,
  keyIn,
  macAlgorithm,
  macVerified,
  malformedRequest,
  parsedPayload,
  readJws,
  verifiedBy,
} from './jws.ts'
import { type AcmePlaces, authorityIn } from './places.ts'
import { type ByAccount, type ByKey, postByAccount, postByKey } from './signed.ts'

const Contact = Type.Array(Type.String({ maxLength: 320 }), { maxItems: 10 })
const NewAccount = Type.Object({
  contact: Type.Optional(Contact),
  onlyReturnExisting: Type.Optional(Type.Boolean()),
  externalAccountBinding: Type.Optional(Type.Unknown()),
})
const AccountUpdate = Type.Object({
  contact: Type.Optional(Contact),
  status: Type.Optional(Type.String()),
})
const KeyChange = Type.Object({ account: Type.String(), oldKey: Type.Unknown() })

/** Accounts: open, read, change, end, give another key (RFC 8555 7.3). */
export function accounts(api: Api, ctx: Context): void {
  postByKey(api, ctx, {
    url: '/new-account',
    answer: async (asked) => {
      const { account, opened } = await accountFor(ctx, asked)
      const { reply, places } = asked
      return reply
        .code(opened ? 201 : 200)
        .header('location', places.at('account', account.id))
        .send(accountView(account, places))
    },
  })

  postByAccount(api, ctx, {
    url: '/account/:id',
    answer: async (asked) => {
      const account = await updated(ctx, ownAccount(asked))
      return asked.reply.send(accountView(account, asked.places))
    },
  })

  postByAccount(api, ctx, {
    url: '/account/:id/orders',
    answer: async (asked) => {
      const { account, request, reply, places } = ownAccount(asked)
      const { query } = request
      const after = isRecord(query) ? query.after : undefined
      if (after !== undefined && !(typeof after === 'string' && isId(after))) {
        throw malformedRequest('after is not from here')
      }
      const { ids, next } = await listOrders(ctx, account, after)
      const own = places.at('account', account.id, 'orders')
      if (next !== undefined) reply.header('link', `<${own}?after=${next}>;rel="next"`)
      return reply.send({ orders: ids.map((id) => places.at('order', id)) })
    },
  })

  postByAccount(api, ctx, {
    url: '/key-change',
    answer: async (asked) => {
      const { account, reply, places } = asked
      const jwk = await newKeyIn(asked)
      const thumbprint = jwkThumbprint(jwk)
      const holder = await changeAccountKey(ctx, asked.actor, { account, jwk, thumbprint })
      if (holder) {
        const location = places.at('account', holder.id)
        throw new AcmeProblem('malformed', 'An account has this key', { status: 409, location })
      }
      return reply.send(accountView(account, places))
    },
  })
}

function accountView({ id, status, contact }: AccountRow, { at }: AcmePlaces) {
  return { status, contact, orders: at('account', id, 'orders') }
}

/** An account is asked about by itself alone. */
function ownAccount(asked: ByAccount): ByAccount {
  const { params } = asked.request
  if (isRecord(params) && params.id === asked.account.id) return asked
  throw new AcmeProblem('unauthorized', 'This is the URL of another account')
}

/** The account of a key: the one that it has, or a new one by the binding that came with it. */
async function accountFor(ctx: Context, asked: ByKey) {
  const { payload, jwk, request, reply } = asked
  if (!conforms(NewAccount, payload))
    throw malformedRequest('The payload is not that of a new account')
  const { id: authorityId } = await findAcmeAuthority(ctx, authorityIn(request))
  const thumbprint = jwkThumbprint(jwk)
  const known = await findAccountOfKey(ctx.db.read, { authorityId, thumbprint })
  if (known) {
    if (known.status === 'valid') return { account: known, opened: false }
    throw new AcmeProblem('unauthorized', `The account of this key is ${known.status}`)
  }
  if (payload.onlyReturnExisting) {
    throw new AcmeProblem('accountDoesNotExist', 'No account has this key')
  }
  const contact = checkedContact(payload.contact ?? [])
  const key = await boundKey(ctx, asked, { authorityId, binding: payload.externalAccountBinding })
  const made = { key, authorityId, jwk, thumbprint, contact, requestId: request.id }
  const opened = await openAccount(ctx, made)
  const actor = accountActor(opened.account, request.id)
  noteAsker(request, actor)
  limitActor(ctx, actor, reply)
  return opened
}

/** The ACME key that a binding names and is signed with (RFC 8555 7.3.4). Throws externalAccountRequired, malformed,
 *  credentials-refused, rate-limited. */
async function boundKey(
  ctx: Context,
  { request, jwk, places }: ByKey,
  { authorityId, binding }: { authorityId: string; binding: unknown },
) {
  if (binding === undefined) {
    throw new AcmeProblem(
      'externalAccountRequired',
      'Accounts are opened with a key of your tenant: send externalAccountBinding',
    )
  }
  const jws = readJws(binding)
  const { kid = '', url, nonce } = headerOf(jws, [macAlgorithm])
  if (url !== places.requested || nonce !== undefined) {
    throw malformedRequest('externalAccountBinding has the url of the request, and no nonce')
  }
  return limitFailures(ctx, { request, token: kid }, async () => {
    const { key, mac, refused } = await openAcmeKey(ctx, { kid, authorityId })
    const octets = await macVerified(jws, mac).catch((error: unknown) => {
      throw error instanceof AcmeProblem ? refused : error
    })
    const bound = parsedPayload(octets)
    if (jwkThumbprint(readAccountKey(bound)) === jwkThumbprint(jwk)) return key
    throw malformedRequest('externalAccountBinding is about another key than the one that signs')
  })
}

async function updated(ctx: Context, { account, actor, payload }: ByAccount): Promise<AccountRow> {
  if (payload === undefined) return account
  if (!conforms(AccountUpdate, payload))
    throw malformedRequest('The payload is no change of an account')
  if (payload.status === 'deactivated') {
    await deactivateAccount(ctx, actor, account)
    return { ...account, status: 'deactivated' }
  }
  if (payload.contact === undefined) return account
  const contact = checkedContact(payload.contact)
  return changeContact(ctx, actor, { account, contact })
}

/** The key that takes the place of the account's, which signs too (RFC 8555 7.3.5). */
async function newKeyIn({ account, header: outer, payload, places }: ByAccount) {
  const jws = readJws(payload)
  const header = headerOf(jws)
  const jwk = keyIn(header)
  if (header.url !== outer.url || header.nonce !== undefined) {
    throw malformedRequest('The inner JWS has the url of the outer one, and no nonce')
  }
  const change = parsedPayload(await verifiedBy(jws, header, jwk))
  if (!conforms(KeyChange, change))
    throw malformedRequest('The inner payload needs account and oldKey')
  const known = jwkThumbprint(readAccountKey(change.oldKey)) === account.thumbprint
  if (change.account === places.at('account', account.id) && known) return jwk
  throw malformedRequest('account and oldKey are not those of the account that signs')
}

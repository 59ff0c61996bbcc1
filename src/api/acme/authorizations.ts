import {
  type Authorization,
  authorizationOf,
  authorizationStatus,
  findAuthorization,
  keptIn,
} from '../../acme/orders/find.ts'
import { deactivateAuthorization, respondToChallenge } from '../../acme/validation/respond.ts'
import type { Context } from '../../core/context.ts'
import { must } from '../../shared/must.ts'
import { isRecord } from '../../shared/shape.ts'
import { timestamp } from '../../shared/view.ts'
import type { Api } from '../api.ts'
import { malformedRequest } from './jws.ts'
import type { AcmePlaces } from './places.ts'
import { idIn, postByAccount } from './signed.ts'

/** Authorizations and challenges (RFC 8555 7.5). */
export function authorizations(api: Api, ctx: Context): void {
  postByAccount(api, ctx, {
    url: '/authz/:id',
    answer: async (asked) => {
      const { account, actor, payload, reply, places } = asked
      const id = idIn(asked)
      if (payload !== undefined && !(isRecord(payload) && payload.status === 'deactivated')) {
        throw malformedRequest('An authorization is read, or deactivated')
      }
      const found =
        payload === undefined
          ? await findAuthorization(ctx, account, id)
          : await deactivateAuthorization(ctx, actor, { account, id })
      if (isUnderWay(found)) reply.header('retry-after', '1')
      return reply.send(authorizationDocument(found, { ctx, places }))
    },
  })

  postByAccount(api, ctx, {
    url: '/challenge/:id',
    answer: async (asked) => {
      const { account, payload, reply, places } = asked
      const id = idIn(asked)
      if (payload !== undefined && !isRecord(payload)) throw malformedRequest('Send {} as payload')
      const authorization =
        payload === undefined
          ? await authorizationOf(ctx, account, id)
          : await respondToChallenge(ctx, { account, id })
      const challenge = authorization.challenges.find((each) => each.id === id)
      if (isUnderWay(authorization)) reply.header('retry-after', '1')
      reply.header('link', `<${places.at('authz', authorization.id)}>;rel="up"`)
      return reply.send(challengeDocument(must(challenge, 'a challenge is gone'), places))
    },
  })
}

function isUnderWay({ challenges, status }: Authorization): boolean {
  return status === 'pending' && challenges.some((each) => each.status === 'processing')
}

/** An authorization as its client sees it (RFC 8555 7.1.4). */
function authorizationDocument(
  authorization: Authorization,
  { ctx, places }: { ctx: Context; places: AcmePlaces },
) {
  const { type, value, wildcard, challenges, order } = authorization
  return {
    status: authorizationStatus(authorization, ctx.now()),
    expires: timestamp(order.expiresAt),
    identifier: { type, value },
    ...(wildcard ? { wildcard } : {}),
    challenges: challenges.map((each) => challengeDocument(each, places)),
  }
}

/** A challenge as its client sees it (RFC 8555 7.1.5). */
function challengeDocument(
  { id, type, status, token, validatedAt, error }: Authorization['challenges'][number],
  { at }: AcmePlaces,
) {
  return {
    ...{ type, status, token, url: at('challenge', id) },
    ...(validatedAt === null ? {} : { validated: timestamp(validatedAt) }),
    ...(error === null ? {} : { error: keptIn(error) }),
  }
}

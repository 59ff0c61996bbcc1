import type { FastifyInstance } from 'fastify'
import { findAcmeAuthority } from '../../acme/authority.ts'
import { newNonce } from '../../acme/nonces.ts'
import { profilesOffered } from '../../acme/profiles.ts'
import type { Context } from '../../core/context.ts'
import { closed, Name } from '../../shared/schema.ts'
import type { Api } from '../api.ts'
import { readJson } from '../edge/json.ts'
import { accounts } from './accounts.ts'
import { authorizations } from './authorizations.ts'
import { orders } from './orders.ts'
import { acmePlaces, authorityIn } from './places.ts'
import { answerRefusal } from './refusal.ts'

/** What of a request is read: a CSR with a hundred names has a few thousand octets. */
const bodyLimit = 128 * 1024

/** The ACME server of each authority (RFC 8555). It is described by that, and found by its directory: what is under
 *  /acme is not in the OpenAPI document. */
export async function acme(instance: FastifyInstance, { ctx }: { ctx: Context }): Promise<void> {
  await instance.register(
    async (api: Api) => {
      readsJose(api)
      api.setErrorHandler((error, request, reply) => answerRefusal(error, request, reply))
      bears(api, ctx)
      directory(api, ctx)
      accounts(api, ctx)
      orders(api, ctx)
      authorizations(api, ctx)
    },
    { prefix: '/acme/:authority' },
  )
}

function readsJose(api: Api): void {
  api.removeAllContentTypeParsers()
  api.addContentTypeParser(
    'application/jose+json',
    { parseAs: 'buffer', bodyLimit },
    async (_request: unknown, body: Buffer) => readJson(body.toString('utf8'), 16),
  )
}

/** A nonce for the next request, also with what is refused, and where the directory is (RFC 8555 6.5, 7.1). */
function bears(api: Api, ctx: Context): void {
  api.addHook('onSend', async (request, reply) => {
    const { url = '' } = request.routeOptions
    const isDirectory = url.endsWith('/directory')
    if (!isDirectory) {
      const index = `<${acmePlaces(ctx, request).at('directory')}>;rel="index"`
      const links = reply.getHeader('link')
      reply.header('link', links === undefined ? index : [index, links].flat().map(String))
    }
    if (request.method === 'POST' || url.endsWith('/new-nonce')) {
      reply.header('replay-nonce', newNonce(ctx))
    }
  })
}

const schema = { hide: true, params: closed({ authority: Name }) } as const

function directory(api: Api, ctx: Context): void {
  api.get('/directory', { schema }, async (request) => {
    const authority = await findAcmeAuthority(ctx, authorityIn(request))
    const { at, renewalInfo } = acmePlaces(ctx, request)
    return {
      newNonce: at('new-nonce'),
      newAccount: at('new-account'),
      newOrder: at('new-order'),
      revokeCert: at('revoke-cert'),
      keyChange: at('key-change'),
      renewalInfo,
      meta: { externalAccountRequired: true, profiles: profilesOffered(authority) },
    }
  })
  // It costs the database nothing, for an authority that there is or not.
  api.get('/new-nonce', { schema, exposeHeadRoute: false }, async (_request, reply) =>
    reply.code(204).send(),
  )
  api.head('/new-nonce', { schema }, async (_request, reply) => reply.code(200).send())
}

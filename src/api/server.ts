import { randomUUID } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyBaseLogger, LogController } from 'fastify'
import type { Context } from '../core/context.ts'
import { takeDownBells } from '../core/database/bells.ts'
import { Problem } from '../shared/problem.ts'
import { acme } from './acme/entrance.ts'
import type { Api } from './api.ts'
import { consoleFiles } from './console/files.ts'
import { guardsConsole } from './console/headers.ts'
import { consoleOidc } from './console/oidc.ts'
import { consoleSession } from './console/session.ts'
import { bodyLimits, readsJson } from './edge/body.ts'
import { answerClientError, answersOddities } from './edge/clienterror.ts'
import { refuseUnread } from './edge/conditions.ts'
import { endsWaiting } from './edge/leaving.ts'
import { refusesUnserved } from './edge/methods.ts'
import { limitAddresses } from './edge/ratelimit.ts'
import { compileValidator } from './edge/validate.ts'
import { graphiql } from './graphql/graphiql.ts'
import { graphql } from './graphql/route.ts'
import { docs } from './openapi.ts'
import { tellsOutcomes } from './outcome.ts'
import { answerError } from './problem.ts'
import { pki } from './public/pki.ts'
import { probes } from './public/readiness.ts'
import { rest } from './rest/routes.ts'
import { resourceMetadata } from './signin/oidc.ts'

/** The whole HTTP surface, not yet listening: REST under /v1, GraphQL, the public /pki, the console,
 *  operations and docs. */
export async function buildServer(ctx: Context, logger?: FastifyBaseLogger): Promise<Api> {
  const { trustedProxies } = ctx.config
  const api: Api = fastify({
    ...(logger ? { loggerInstance: logger } : {}),
    ...(trustedProxies.length > 0 ? { trustProxy: [...trustedProxies] } : {}),
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    // One line of ours tells of each request (src/api/outcome.ts).
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimits.bytes,
    // As long as Node reads: what is too long for a name is for its schema to say.
    routerOptions: { maxParamLength: 16_384 },
    requestTimeout: 60_000,
    // Node would answer by itself who sends no Host, and looks for those who are late twice a minute.
    http: {
      requireHostHeader: false,
      connectionsCheckingInterval: 1_000,
      // Any other upgrade that is offered is not taken (RFC 9110 7.8).
      shouldUpgradeCallback: ({ headers, url = '' }) =>
        /^websocket$/i.test(headers.upgrade ?? '') && /^\/graphql(\?|$)/.test(url),
    },
    forceCloseConnections: 'idle',
    clientErrorHandler: answerClientError,
    frameworkErrors: answerError,
  }).withTypeProvider<TypeBoxTypeProvider>()
  api.setValidatorCompiler(compileValidator)
  // An answer is written as it is. Its schema tells clients what to expect and refuses nothing: what
  // does not fit it would be stored all the same, and could never be read again.
  api.setSerializerCompiler(() => JSON.stringify)
  answersOddities(api.server)
  readsJson(api)
  api.setErrorHandler(answerError)
  tellsOutcomes(api, ctx)
  api.addHook('onRequest', async ({ headers, raw }) => {
    if (headers.host === undefined && raw.httpVersion === '1.1') {
      throw new Problem('request-malformed', 'Send Host (RFC 9110 7.2)')
    }
    // Node takes the first of several, a proxy on the way may take another.
    const hosts = raw.rawHeaders.filter((name, at) => at % 2 === 0 && /^host$/i.test(name))
    if (hosts.length > 1) throw new Problem('request-malformed', 'Send Host once (RFC 9112 3.2)')
  })
  // Before anything is looked for: what is not served counts too.
  limitAddresses(api, ctx)
  refusesUnserved(api)
  // After those who may not have been refused, before a body is read.
  api.addHook('preParsing', refuseUnread)
  api.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id)
    reply.header('x-content-type-options', 'nosniff')
    guardsConsole(request, reply)
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
  })
  endsWaiting(api)
  api.addHook('onClose', () => takeDownBells(ctx))
  await docs(api)
  probes(api, ctx)
  if (ctx.config.oidc) resourceMetadata(api, ctx.config.oidc)
  await api.register(pki, { ctx })
  await api.register(acme, { ctx })
  await api.register(rest, { ctx, prefix: '/v1' })
  await api.register(graphql, { ctx })
  await api.register(async (scope: Api) => consoleFiles(scope, ctx))
  await api.register(async (scope: Api) => consoleSession(scope, ctx))
  const { oidc } = ctx.config
  if (oidc?.console) consoleOidc(api, ctx, { ...oidc, console: oidc.console })
  if (ctx.config.development) await api.register(graphiql)
  return api
}

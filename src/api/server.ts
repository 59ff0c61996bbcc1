import { randomUUID } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyBaseLogger } from 'fastify'
import type { Context } from '../ground/context.ts'
import { Problem } from '../words/problem.ts'
import type { Api } from './api.ts'
import { answerClientError } from './clienterror.ts'
import { docs } from './docs.ts'
import { graphiql } from './graphql/graphiql.ts'
import { graphql } from './graphql/graphql.ts'
import { readJson } from './json.ts'
import { operations } from './operations.ts'
import { pki } from './pki.ts'
import { answerError } from './problem.ts'
import { rest } from './rest/rest.ts'
import { compileValidator } from './validate.ts'

/** The whole HTTP surface, not yet listening: REST under /v1, GraphQL, the public /pki, operations
 *  and docs. */
export async function buildServer(ctx: Context, logger?: FastifyBaseLogger): Promise<Api> {
  const api: Api = fastify({
    ...(logger ? { loggerInstance: logger } : {}),
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    bodyLimit: 512 * 1024,
    routerOptions: { maxParamLength: 300 },
    requestTimeout: 60_000,
    forceCloseConnections: 'idle',
    clientErrorHandler: answerClientError,
    frameworkErrors: answerError,
  }).withTypeProvider<TypeBoxTypeProvider>()
  api.setValidatorCompiler(compileValidator)
  api.removeContentTypeParser(['text/plain', 'application/json'])
  api.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_request: unknown, body: string) => readJson(body),
  )
  api.setErrorHandler(answerError)
  api.setNotFoundHandler((request) => {
    throw new Problem('route-unknown', `${request.method} ${request.url} is not served; see /docs`)
  })
  api.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id)
    reply.header('x-content-type-options', 'nosniff')
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
  })
  await docs(api)
  await api.register(operations, { ctx })
  await api.register(pki, { ctx })
  await api.register(rest, { ctx, prefix: '/v1' })
  await api.register(graphql, { ctx })
  if (ctx.config.development) await api.register(graphiql)
  return api
}

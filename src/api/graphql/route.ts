import type { FastifyInstance } from 'fastify'
import { GraphQLEnumType, GraphQLInt, GRAPHQL_MAX_INT as most } from 'graphql'
import mercurius from 'mercurius'
import Type from 'typebox'
import type { Context } from '../../core/context.ts'
import { closed } from '../../shared/schema.ts'
import type { Api } from '../api.ts'
import { actorOf, admission } from '../edge/admission.ts'
import { limitActor } from '../edge/ratelimit.ts'
import { problemContent } from '../openapi.ts'
import { affordable, limits } from './cost.ts'
import { errorsOf, shownError } from './errors.ts'
import type { Asking } from './field.ts'
import { socket } from './following/socket.ts'
import { loadsFor } from './reading/loads.ts'
import { follows, resolvers, sdl } from './schema.ts'

declare module 'mercurius' {
  interface MercuriusContext extends Asking {}
}

const Request = closed(
  {
    query: Type.String({ minLength: 1, maxLength: 65_536 }),
    variables: Type.Optional(
      Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()], {
        description: 'By name, without $',
      }),
    ),
    operationName: Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()])),
    extensions: Type.Optional(Type.Unknown({ description: 'Not looked at' })),
  },
  {
    title: 'GraphqlRequest',
    examples: [
      {
        query:
          'query ($within: String!) { expiringCertificates(within: $within) { items { dnsNames notAfter } } }',
        variables: { within: 'P30D' },
      },
    ],
  },
)

const Answer = Type.Object(
  {
    data: Type.Optional(Type.Unknown()),
    errors: Type.Optional(
      Type.Unsafe<readonly unknown[]>({
        type: 'array',
        items: { type: 'object', additionalProperties: true },
        description: 'The extensions of each are its problem (RFC 9457)',
      }),
    ),
  },
  { title: 'GraphqlAnswer' },
)

const responseType = 'application/graphql-response+json'

/** What a request that was refused is answered by: by GraphQL in its own form, in the media type that
 *  was asked for, or before it came to GraphQL by a problem. */
const answers = {
  'application/json': { schema: Answer },
  [responseType]: { schema: Answer },
}

/** POST /graphql: the reading actions, with relations, and what self-service writes. Whoever may not use REST may not ask here
 *  either, not even for the schema. */
export async function graphql(api: FastifyInstance, { ctx }: { ctx: Context }): Promise<void> {
  await api.register(mercurius, {
    schema: sdl,
    resolvers,
    // Its routes are below and in following/socket.ts: no queries by GET, no batches.
    routes: false,
    cache: 100,
    graphql: { parseOptions: { maxTokens: limits.tokens } },
    errorFormatter: (execution, { reply }) => ({
      // An error without a place in the answer is one of the document: nothing was answered.
      statusCode: execution.errors.some(({ path }) => path === undefined) ? 400 : 200,
      response: {
        data: execution.data ?? null,
        errors: execution.errors.map((error) => shownError(error, reply.request)),
      },
    }),
  })
  // What is stored is shown, also a word that this release does not know.
  for (const type of Object.values(api.graphql.schema.getTypeMap())) {
    if (type instanceof GraphQLEnumType) type.serialize = String
    // An Int has 32 bits: what is beyond them is shown as the last of them.
    if (type === GraphQLInt)
      type.serialize = (value) => Math.min(Math.max(Number(value), -most), most)
  }
  for (const field of Object.values(api.graphql.schema.getSubscriptionType()?.getFields() ?? {})) {
    const follow = follows.get(field.name)
    if (follow) field.subscribe = follow
  }
  await api.register(async (scope: Api) => route(scope, ctx))
  await api.register(socket, { ctx, sdl, schema: api.graphql.schema })
}

function route(api: Api, ctx: Context): void {
  admission(api, ctx)
  api.post(
    '/graphql',
    {
      config: { needs: 'read', anyScope: true },
      schema: {
        tags: ['graphql'],
        summary:
          'Ask for anything that can be read, with relations, or change hosts and certificates',
        description:
          'Every field is described in the schema. What is asked for is weighed before it is run: too much is refused. Rights and problems are as in REST. See docs/graphql.md.',
        body: Request,
        response: {
          200: { description: 'An answer, with errors beside it or not', content: answers },
          '4xx': {
            description: 'What is wrong with the request, by GraphQL or as a problem',
            content: { ...answers, ...problemContent },
          },
        },
      },
    },
    async (request, reply) => {
      const { query, variables, operationName } = request.body
      const actor = actorOf(request)
      const count = countingOthers(() => limitActor(ctx, actor, reply))
      const asking = { ctx, actor, loads: loadsFor(ctx, actor), count }
      reply.header('vary', 'accept').type(mediaTypeFor(request.headers.accept))
      try {
        affordable(query, { schema: api.graphql.schema, variables: variables ?? {} })
        return await reply.graphql(query, asking, variables ?? {}, operationName ?? undefined)
      } catch (error) {
        const errors = errorsOf(error).map((each) => shownError(each, request))
        const [status = 500] = errors.map(({ extensions }) => Number(extensions.status))
        return reply.code(status).send({ data: null, errors })
      }
    },
  )
}

/** Counts each change of a request but the first, which the request itself is. */
function countingOthers(count: () => void): () => void {
  let changes = 0
  return () => {
    if (changes++ > 0) count()
  }
}

/** As GraphQL over HTTP has it: JSON to who does not name the type of its own. */
function mediaTypeFor(accept = ''): string {
  return accept.toLowerCase().includes(responseType) ? responseType : 'application/json'
}

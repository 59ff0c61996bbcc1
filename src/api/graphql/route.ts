import type { FastifyInstance } from 'fastify'
import { GraphQLEnumType, GraphQLInt, Kind, GRAPHQL_MAX_INT as most, parse } from 'graphql'
import mercurius from 'mercurius'
import Type from 'typebox'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { closed } from '../../shared/schema.ts'
import type { Api } from '../api.ts'
import { actorOf, admission } from '../edge/admission.ts'
import { problemContent } from '../openapi.ts'
import { costOf } from './cost.ts'
import { errorsOf, shownError } from './errors.ts'
import type { Asking } from './field.ts'
import { loadsFor } from './reading/loads.ts'
import { resolvers, sdl } from './schema.ts'

declare module 'mercurius' {
  interface MercuriusContext extends Asking {}
}

/** What one request may ask for, so that none takes the service from the others. Measured: graphql
 *  compares fields of a name and fragments in pairs, and answers some 500 fields a millisecond. */
const limits = { tokens: 1000, fragments: 50, depth: 12, fields: 25_000 }

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
  { title: 'GraphqlRequest' },
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
    // The one route is below: no GET, no batches, no socket.
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
  await api.register(async (scope: Api) => route(scope, ctx))
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
      const asking = { ctx, actor, loads: loadsFor(ctx, actor) }
      reply.header('vary', 'accept').type(mediaTypeFor(request.headers.accept))
      try {
        refuseDear(api, query, variables ?? {})
        return await reply.graphql(query, asking, variables ?? {}, operationName ?? undefined)
      } catch (error) {
        const errors = errorsOf(error).map((each) => shownError(each, request))
        const [status = 500] = errors.map(({ extensions }) => Number(extensions.status))
        return reply.code(status).send({ data: null, errors })
      }
    },
  )
}

/** As GraphQL over HTTP has it: JSON to who does not name the type of its own. */
function mediaTypeFor(accept = ''): string {
  return accept.toLowerCase().includes(responseType) ? responseType : 'application/json'
}

function refuseDear(api: Api, query: string, variables: Readonly<Record<string, unknown>>): void {
  const document = parse(query, { maxTokens: limits.tokens })
  const { schema } = api.graphql
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION)
  if (fragments.length > limits.fragments) {
    throw new Problem(
      'request-too-large',
      `This query has ${fragments.length} fragments, and at most ${limits.fragments} are read`,
    )
  }
  const { fields, depth } = costOf(document, { schema, variables })
  if (depth > limits.depth) {
    throw new Problem(
      'request-too-large',
      `This query goes ${depth} levels deep, and at most ${limits.depth} are answered`,
    )
  }
  if (fields > limits.fields) {
    throw new Problem(
      'request-too-large',
      `This query could be answered with ${fields} fields, and at most ${limits.fields} are: ask for smaller pages (first) or fewer relations`,
    )
  }
}

import websocket, { type WebSocket } from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import {
  type ExecutionResult,
  type GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  subscribe,
  validate,
} from 'graphql'
import { handleProtocols, makeServer } from 'graphql-ws'
import { subscriberOf } from '../../../audit/address.ts'
import type { Actor } from '../../../core/actor.ts'
import type { Context } from '../../../core/context.ts'
import { oncePer } from '../../../core/onceper.ts'
import { seatsOf } from '../../../core/seats.ts'
import { must } from '../../../shared/must.ts'
import { Problem } from '../../../shared/problem.ts'
import { closed } from '../../../shared/schema.ts'
import { isRecord } from '../../../shared/shape.ts'
import { stillAdmitted } from '../../edge/admission.ts'
import { limitActor } from '../../edge/ratelimit.ts'
import { asProblem } from '../../problem.ts'
import { patienceMilliseconds } from '../../rest/events/seats.ts'
import { isForeign } from '../../signin/origin.ts'
import { affordable } from '../cost.ts'
import { errorsOf, shownError } from '../errors.ts'
import type { Asking } from '../field.ts'
import { loadsFor } from '../reading/loads.ts'

/** What a connection may send and hold open, so that none takes the service from the others. */
const limits = { octets: 128 * 1024, subscriptions: 20, messages: 20 } as const
const introduceMilliseconds = 5_000
const lookMilliseconds = 15_000

/** Connections that have not said yet whose they are, by address; and those that have, by API key. */
const strangers = oncePer(() => seatsOf({ all: 200, each: 20 }))
const connections = oncePer(() => seatsOf({ all: 1000, each: 20 }))

/** GET /graphql: the schema; with Upgrade: websocket what can be followed, by graphql-transport-ws. Credentials come in
 *  Authorization, or, as browsers cannot send that, in the payload of connection_init. */
export async function socket(
  api: FastifyInstance,
  { ctx, sdl, schema }: { ctx: Context; sdl: string; schema: GraphQLSchema },
): Promise<void> {
  await api.register(websocket, {
    options: { maxPayload: limits.octets, handleProtocols },
    preClose(done) {
      for (const client of this.websocketServer.clients) {
        client.close(codes.stopped, 'The server stops: come back')
        setTimeout(() => client.terminate(), 1_000).unref()
      }
      this.websocketServer.close()
      done()
    },
  })
  const replies = new WeakMap<FastifyRequest, FastifyReply>()
  api.addHook('onRequest', async (request, reply) => {
    replies.set(request, reply)
    if (request.ws && request.headers.authorization === undefined) return
    limitActor(ctx, await stillAdmitted(ctx, request), reply)
  })
  const server = serverOf(ctx, schema)
  api.route({
    method: 'GET',
    url: '/graphql',
    config: { needs: 'read', anyScope: true },
    schema: {
      tags: ['graphql'],
      summary: 'Read the schema of GraphQL, or follow what happens by WebSocket',
      description:
        'Without an upgrade the schema in SDL. With Upgrade: websocket and the subprotocol graphql-transport-ws the subscriptions of the schema. See docs/graphql.md.',
      querystring: closed({}),
      response: {
        200: {
          description: 'The schema',
          content: { 'text/plain': { schema: { type: 'string' } } },
        },
      },
    },
    handler: (_request, reply) => reply.type('text/plain; charset=utf-8').send(sdl),
    wsHandler: (connection, request) => {
      const reply = must(replies.get(request), 'a request is known by its hook')
      serve(ctx, server, { connection, request, reply })
    },
  })
}

/** One connection: who it is of, once that was told. */
type Connected = {
  readonly connection: WebSocket
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** What is kept of a connection while it is there. */
type Extra = Connected & { leave: () => void; isKnown: boolean }

type Server = ReturnType<typeof serverOf>

/** What speaks the protocol; it answers subscriptions and nothing else. */
function serverOf(ctx: Context, schema: GraphQLSchema) {
  return makeServer<Record<string, unknown>, Extra>({
    connectionInitWaitTimeout: introduceMilliseconds,
    onConnect: ({ extra, connectionParams }) => introduced(ctx, extra, connectionParams),
    onSubscribe: async ({ extra, subscriptions }, _id, { query, variables, operationName }) => {
      try {
        if (Object.keys(subscriptions).length > limits.subscriptions) {
          throw new Problem(
            'busy',
            `A connection has ${limits.subscriptions} subscriptions at most`,
          )
        }
        const actor = await stillAdmitted(ctx, extra.request)
        limitActor(ctx, actor, extra.reply)
        const document = affordable(query, { schema, variables: variables ?? {} })
        if (getOperationAST(document, operationName)?.operation !== 'subscription') {
          throw new Problem('request-invalid', 'Send what is no subscription to POST /graphql')
        }
        const faults = validate(schema, document)
        if (faults.length > 0) return faults
        return {
          ...{ schema, document, contextValue: askingOf(ctx, extra, actor) },
          ...(variables ? { variableValues: variables } : {}),
          ...(operationName ? { operationName } : {}),
        }
      } catch (error) {
        return errorsOf(error)
      }
    },
    subscribe: async (args) => endable(await subscribe(args), args.contextValue),
    onNext: ({ extra }, _id, _payload, _args, { data = null, errors }) =>
      errors ? { data, errors: shown(extra, errors) } : undefined,
    onError: ({ extra }, _id, _payload, errors) => shown(extra, errors),
  })
}

/** Who each subscription is for, and how to end it before what it waits for comes. */
const endings = new WeakMap<object, AbortController>()

function askingOf(ctx: Context, { request }: Extra, actor: Actor): Asking {
  const ending = new AbortController()
  const following = { signal: ending.signal, admitted: () => stillAdmitted(ctx, request) }
  const asking = { ctx, actor, loads: loadsFor(ctx, actor), following }
  endings.set(asking, ending)
  return asking
}

/** A generator that waits hears of its end only when what it waits for has come: so it is told by a signal. */
function endable(
  result: AsyncGenerator<ExecutionResult> | ExecutionResult,
  asking: unknown,
): AsyncGenerator<ExecutionResult> | ExecutionResult {
  if (!('next' in result)) return result
  const own = result.return.bind(result)
  result.return = (value) => {
    if (isRecord(asking)) endings.get(asking)?.abort()
    return own(value)
  }
  return result
}

/** Errors as POST shows them. Who is no longer let in is sent away. */
function shown({ connection, request }: Extra, errors: readonly GraphQLError[]) {
  const all = errors.map((error) => shownError(error, request))
  const refused = all.find(({ extensions }) => extensions.status === 401)
  if (refused) setImmediate(() => connection.close(codes.refused, 'The credentials are refused'))
  return all
}

/** Of the protocol, and of RFC 6455 7.4.1. */
const codes = { refused: 4403, many: 4429, stopped: 1001, failed: 1011, later: 1013 } as const

/** Takes the credentials of who opened a connection, and a place among those of its API key. */
async function introduced(
  ctx: Context,
  extra: Extra,
  params: Readonly<Record<string, unknown>> = {},
): Promise<boolean> {
  const { connection, request, reply } = extra
  try {
    const { headers } = request
    const named = Object.entries(params).find(([name]) => /^authorization$/i.test(name))?.[1]
    const isLate = headers.authorization === undefined
    if (isLate && typeof named === 'string') headers.authorization = named
    // A browser shows its client certificate for any page.
    if (headers.authorization === undefined && isForeign(request)) {
      throw new Problem('credentials-missing', 'Pages of other origins say who asks by a token')
    }
    const actor = await stillAdmitted(ctx, request)
    if (isLate) limitActor(ctx, actor, reply)
    const leave = connections(ctx).take(actor.id ?? actor.name)
    if (leave === undefined) {
      connection.close(codes.many, 'This API key may have 20 connections at a server')
      return false
    }
    extra.leave()
    extra.leave = leave
    extra.isKnown = true
    return true
  } catch (error) {
    const { status, message } = asProblem(error)
    connection.close(status >= 500 ? codes.later : codes.refused, reasonOf(message))
    return false
  }
}

/** The reason of a close has 123 octets. */
function reasonOf(message: string): string {
  return Buffer.from(message).subarray(0, 120).toString('latin1')
}

/** Serves a connection until it ends; who does not take what it is sent, or does not answer, is cut off. */
function serve(ctx: Context, server: Server, connected: Connected): void {
  const { connection, request } = connected
  const leave = strangers(ctx).take(subscriberOf(request.ip))
  if (leave === undefined) {
    connection.close(codes.many, 'Too many connections have not said yet whose they are')
    return
  }
  const extra: Extra = { ...connected, leave, isKnown: false }
  let heard: (text: string) => Promise<void> = async () => undefined
  const closed = server.opened(
    {
      protocol: connection.protocol,
      send: (text) => sent(connection, text),
      close: (code, reason) => connection.close(code, reason),
      onMessage: (listener) => {
        heard = listener
      },
    },
    extra,
  )
  let busy = 0
  connection.on('message', (data: Buffer) => {
    if (++busy > limits.messages + limits.subscriptions) {
      connection.terminate()
      return
    }
    heard(data.toString())
      .catch((err: unknown) => {
        request.log.warn({ err }, 'a message of a WebSocket could not be answered')
        connection.close(codes.failed, 'It could not be answered')
      })
      .finally(() => {
        busy--
      })
  })
  const stopLooking = lookAfter(ctx, extra)
  connection.once('close', (code, reason) => {
    stopLooking()
    extra.leave()
    closed(code, reason.toString()).catch((err: unknown) => {
      request.log.warn({ err }, 'a WebSocket could not be closed')
    })
  })
}

/** Resolves when the connection has taken it. */
function sent(connection: WebSocket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const slow = setTimeout(() => connection.terminate(), patienceMilliseconds)
    connection.send(text, (error) => {
      clearTimeout(slow)
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Looks every fifteen seconds whether the other end is still there, and still let in. */
function lookAfter(ctx: Context, extra: Extra): () => void {
  const { connection, request } = extra
  let isThere = true
  connection.on('pong', () => {
    isThere = true
  })
  const timer = setInterval(() => {
    if (!isThere) {
      connection.terminate()
      return
    }
    isThere = false
    connection.ping()
    if (!extra.isKnown) return
    stillAdmitted(ctx, request).catch((error: unknown) => {
      const { status, message } = asProblem(error)
      if (status < 500) connection.close(codes.refused, reasonOf(message))
    })
  }, lookMilliseconds)
  return () => clearInterval(timer)
}

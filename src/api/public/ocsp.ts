import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { answerOcsp, type OcspReply } from '../../authorities/ocsp/answer.ts'
import type { Context } from '../../core/context.ts'
import { closed, Name, Octets } from '../../shared/schema.ts'
import { ocspError } from '../../x509/ocsp.ts'
import type { Api } from '../api.ts'
import { asProblem } from '../problem.ts'

const requestType = 'application/ocsp-request'
const responseType = 'application/ocsp-response'
const bodyLimit = 16_384

/** How long others may be given the same answer. */
const freshSeconds = 300

const response = {
  200: {
    description: 'An OCSPResponse, of an error also (RFC 6960 4.2.1)',
    content: { [responseType]: { schema: Octets } },
  },
}

/** OCSP over HTTP (RFC 6960 A.1): POST, and GET with the request in base64, for caches. */
export function ocsp(api: Api, ctx: Context): void {
  api.removeAllContentTypeParsers()
  api.addContentTypeParser(requestType, { parseAs: 'buffer', bodyLimit }, (_request, body, done) =>
    done(null, body),
  )
  api.setErrorHandler((error, request, reply) => answerError(error, request, reply))

  api.post(
    '/ocsp',
    {
      bodyLimit,
      config: { problems: ['authority-unknown', 'list-unknown'] },
      schema: {
        tags: ['pki'],
        summary: 'Whether certificates are still good (RFC 6960)',
        description: 'An OCSPRequest in DER, application/ocsp-request',
        security: [],
        consumes: [requestType],
        params: closed({ authority: Name }),
        response,
      },
    },
    async (request, reply) => {
      const body: unknown = request.body
      const der = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
      const { authority } = request.params
      return send(reply, await answerOcsp(ctx, { authority, request: der }))
    },
  )

  api.get(
    '/ocsp/*',
    {
      config: {
        bears: ['Last-Modified', 'Expires'],
        problems: ['authority-unknown', 'list-unknown'],
      },
      schema: {
        tags: ['pki'],
        summary: 'The same, with the OCSPRequest in URL-escaped base64',
        description:
          'For what caches keep (RFC 5019). A request that is none is answered malformedRequest.',
        security: [],
        params: closed({
          authority: Name,
          '*': Type.String({ maxLength: 8_192, description: 'OCSPRequest' }),
        }),
        response,
      },
    },
    async (request, reply) => {
      const { authority, '*': text } = request.params
      const reply6960 = await answerOcsp(ctx, { authority, request: decoded(text) })
      return send(reply, reply6960, ctx.now())
    },
  )
}

/** Base64 as it came through the router, which has undone the escapes; empty for anything else. */
function decoded(text: string): Buffer {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : Buffer.alloc(0)
}

/** `now` for what caches may keep (RFC 5019 6.2): an answer to a GET, and no nonce in it. */
function send(reply: FastifyReply, { der, period }: OcspReply, now?: Date): FastifyReply {
  if (period && now) {
    const left = Math.floor((period.nextUpdate.getTime() - now.getTime()) / 1000)
    reply
      .header('cache-control', `public, no-transform, max-age=${Math.min(left, freshSeconds)}`)
      .header('last-modified', period.thisUpdate.toUTCString())
      .header('expires', period.nextUpdate.toUTCString())
  }
  return reply.type(responseType).send(der)
}

/** OCSP clients read OCSP: what went wrong is told as an OCSPResponse, except that there is nothing at
 *  this URL, or that this is no OCSP request at all. */
function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { type, status } = asProblem(error)
  if (type === 'request-too-large') return send(reply, { der: ocspError('malformedRequest') })
  if (status < 500) throw error
  request.log.error({ err: error }, 'OCSP request failed')
  const passing = type === 'unavailable'
  return send(reply, { der: ocspError(passing ? 'tryLater' : 'internalError') })
}

import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../shared/problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route itself looks at If-Match and its kin. */
    readonly conditional?: boolean
  }
}

/** Conditions under which alone a request is to be done (RFC 9110 13.1). */
const conditions = ['if-match', 'if-unmodified-since'] as const

/** The same, where something is changed; a reading without them reads what is there. */
const writeConditions = [...conditions, 'if-none-match', 'if-modified-since'] as const

/** Refuses what would change the meaning of a request and is not done here, rather than do another
 *  request than the one that was sent. Throws precondition-refused, media-type-unsupported,
 *  request-malformed. */
export async function refuseUnread(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { headers, method, routeOptions } = request
  const reads = method === 'GET' || method === 'HEAD'
  const found = (reads ? conditions : writeConditions).find((name) => headers[name] !== undefined)
  if (found !== undefined && routeOptions.config.conditional !== true) {
    throw new Problem(
      'precondition-refused',
      `Nothing here has an entity tag or a date to hold ${found} against: send it without`,
    )
  }
  const coding = headers['content-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
    reply.header('accept-encoding', 'identity')
    throw new Problem(
      'media-type-unsupported',
      'Send the body as it is, without a content-encoding',
    )
  }
  if (!reads && headers['content-range'] !== undefined) {
    throw new Problem('request-malformed', 'A part is not taken for the whole: no content-range')
  }
}

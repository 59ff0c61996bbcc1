import { isUtf8 } from 'node:buffer'
import type { FastifyRequest } from 'fastify'
import { Problem } from '../../shared/problem.ts'
import type { Api } from '../api.ts'
import { readJson } from './json.ts'

/** What a body may be, unless a route says otherwise. Measured: within both, reading, judging and
 *  refusing any body takes less than 50 ms. */
export const bodyLimits = { bytes: 512 * 1024, values: 10_000 }

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How many values a body of this route may hold; `bodyLimit` says how many bytes. */
    readonly mostValues?: number
  }
}

const mergePatchType = 'application/merge-patch+json'

/** JSON is the one type of a body that is read; its limits are looked at before it is. */
export function readsJson(api: Api): void {
  api.removeContentTypeParser(['text/plain', 'application/json'])
  api.addContentTypeParser(
    ['application/json', mergePatchType],
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      const { 'content-type': type = '' } = request.headers
      if (/charset\s*=\s*(?!"?utf-?8"?\s*(;|$))/i.test(type)) {
        throw new Problem('media-type-unsupported', 'Send JSON in UTF-8 (RFC 8259 8.1)')
      }
      if (!isUtf8(body)) throw new Problem('request-malformed', 'The body is not UTF-8')
      if (type.startsWith(mergePatchType) && request.method !== 'PATCH') {
        throw new Problem('media-type-unsupported', 'A merge patch is for PATCH: send JSON')
      }
      const { mostValues = bodyLimits.values } = request.routeOptions.config
      return readJson(body.toString('utf8'), mostValues)
    },
  )
}

import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { getCaCertificate } from '../authorities/find.ts'
import type { Context } from '../ground/context.ts'
import { closed, Name } from '../words/schema.ts'
import { problemResponse } from './openapi.ts'

/** What relying parties need, without asking who they are: http, as RFC 5280 4.2.2.1 expects. */
export async function pki(api: FastifyInstance, { ctx }: { ctx: Context }): Promise<void> {
  api.get<{ Params: { authority: string } }>(
    '/pki/:authority/ca.crt',
    {
      schema: {
        tags: ['pki'],
        summary: 'The certificate of an authority, in DER',
        security: [],
        params: closed({ authority: Name }),
        response: {
          200: {
            description: 'A certificate',
            content: { 'application/pkix-cert': { schema: Type.String({ format: 'binary' }) } },
          },
          ...problemResponse,
        },
      },
    },
    async (request, reply) => {
      const der = await getCaCertificate(ctx, request.params.authority)
      return reply
        .type('application/pkix-cert')
        .header('cache-control', 'public, max-age=3600')
        .send(der)
    },
  )
}

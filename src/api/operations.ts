import type { FastifyInstance } from 'fastify'
import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { Problem } from '../shared/problem.ts'

/** For those who run it: is the process alive, can it serve, and what does it serve. */
export async function operations(api: FastifyInstance, { ctx }: { ctx: Context }): Promise<void> {
  api.get('/livez', async () => ({ status: 'ok' }))

  api.get('/readyz', async (request) => {
    try {
      await ctx.db.read.$queryRaw(sql`select 1`)
    } catch (error) {
      request.log.error({ err: error }, 'the database does not answer')
      throw new Problem('unavailable', 'The database does not answer')
    }
    return { status: 'ok' }
  })

  api.get('/openapi.json', async (_request, reply) => {
    reply.type('application/json')
    return api.swagger()
  })
}

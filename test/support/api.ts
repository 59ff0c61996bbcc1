import assert from 'node:assert/strict'
import { subscribe } from 'node:diagnostics_channel'
import { after } from 'node:test'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import supertest from 'supertest'
import { problemsOf } from '../../src/api/answers.ts'
import { buildServer } from '../../src/api/server.ts'
import type { Context } from '../../src/core/context.ts'
import { oncePer } from '../../src/core/onceper.ts'
import { Problem } from '../../src/shared/problem.ts'
import { createApiKey } from '../../src/tenants/apikeys/lifecycle.ts'
import { admin, openTestContext } from './context.ts'
import { undeclaredIn } from './contract.ts'

/** What routes of this process have refused without saying so in the contract. */
const undeclared = new Set<string>()
subscribe('tracing:fastify.request.handler:error', (message) => {
  const { error, request } = message as { error: unknown; request: FastifyRequest }
  if (!(error instanceof Problem)) return
  const { config, schema, method, url } = request.routeOptions
  // What is not in the contract, as what ACME clients ask, answers errors of its own.
  if (schema?.hide) return
  if (!problemsOf({ config, schema }).includes(error.type))
    undeclared.add(`${method} ${url}: ${error.type}`)
})
// And what they have answered, with which headers.
subscribe('fastify.initialization', (message) => {
  const { fastify } = message as { fastify: FastifyInstance }
  fastify.addHook('onResponse', async (request, reply) => {
    for (const each of undeclaredIn(request, reply)) undeclared.add(each)
  })
})

/** The HTTP surface over a fresh database, where it listens, and a hand on it that sends a platform admin's token. */
export async function openTestApi(...options: Parameters<typeof openTestContext>) {
  const ctx = await openTestContext(...options)
  const api = await buildServer(ctx)
  after(async () => {
    await api.close()
    assert.deepEqual([...undeclared], [])
  })
  // Or supertest opens it for each request, and closes it again.
  const url = await api.listen({ host: '127.0.0.1', port: 0 })
  const root = await tokenFor(ctx, null)
  const send = (token: string | null) => {
    const agent = supertest.agent(url)
    return token === null ? agent : agent.set('authorization', `Bearer ${token}`)
  }
  return { ctx, api, url, send, http: send(root) }
}

/** How many each context has: names do not depend on what ran before in this process. */
const made = oncePer(() => ({ count: 0 }))

/** A token with this role, of a tenant or platform-wide. */
export async function tokenFor(
  ctx: Context,
  tenant: string | null,
  role: 'admin' | 'operator' | 'viewer' | 'auditor' = 'admin',
): Promise<string> {
  const asked = { name: `key-${made(ctx).count++}`, role }
  return (await createApiKey(ctx, admin, { tenant, request: asked })).token
}

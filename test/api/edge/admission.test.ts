import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { rawAnswer } from '../../support/raw.ts'

const { ctx, api, url } = await openTestApi()
await createTenant(ctx, admin, { name: 'example', domains: ['example.com'] })
const tokens = {
  viewer: await tokenFor(ctx, 'example', 'viewer'),
  operator: await tokenFor(ctx, 'example', 'operator'),
  auditor: await tokenFor(ctx, 'example', 'auditor'),
}

const writing = Object.entries(api.swagger().paths ?? {}).flatMap(([path, methods]) =>
  Object.keys(methods ?? {})
    .filter((method) => method !== 'get' && path.startsWith('/v1'))
    .map((method) => ({
      method: method.toUpperCase(),
      path: path.replace('{id}', '019a0000-0000-7000-8000-000000000000').replace(/\{\w+\}/g, 'a'),
    })),
)

/** Says that a large body follows, and never sends it. */
function promised({ method, path }: { method: string; path: string }, token?: string) {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'host: x',
    'content-type: application/json',
    'content-length: 500000',
    ...(token === undefined ? [] : [`authorization: Bearer ${token}`]),
  ]
  return rawAnswer(url, `${lines.join('\r\n')}\r\n\r\n`)
}

test('who does not say who asks is refused before a body is read', async () => {
  assert.ok(writing.length > 20)
  for (const route of [...writing, { method: 'POST', path: '/graphql' }]) {
    const { status } = await promised(route)
    assert.equal(status, 401, `${route.method} ${route.path}`)
  }
})

test('a role that may not do this is refused before a body is read', async () => {
  const read = /\/(plan|probe)$/
  for (const route of writing.filter(({ path }) => !read.test(path))) {
    for (const role of ['viewer', 'auditor'] as const) {
      const { status, body } = await promised(route, tokens[role])
      assert.equal(status, 403, `${role} ${route.method} ${route.path}`)
      assert.match(body, /problems\/forbidden/)
    }
  }
})

test('what only the platform may do is refused to a tenant before a body is read', async () => {
  for (const path of ['/v1/tenants', '/v1/authorities', '/v1/clusters', '/v1/blocked-keys']) {
    const { status } = await promised({ method: 'POST', path }, tokens.operator)
    assert.equal(status, 403, path)
  }
})

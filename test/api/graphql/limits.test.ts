import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FastifyBaseLogger } from 'fastify'
import { buildSchema, getIntrospectionQuery, parse } from 'graphql'
import { costOf } from '../../../src/api/graphql/cost.ts'
import { sdl } from '../../../src/api/graphql/schema.ts'
import { buildServer } from '../../../src/api/server.ts'
import { sql } from '../../../src/core/database/db.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'

const { ctx, http, send } = await openTestApi()
const schema = buildSchema(sdl)
const problem = (type: string) => `https://gatesmith.dev/problems/${type}`

test('a query costs what it could be answered with', () => {
  const rows = [
    ['{ tenant(name: "a") { name } }', 2, 2],
    ['{ tenants { nextCursor total { value } } }', 103, 3],
    ['{ tenants(first: 10) { items { name displayName } } }', 22, 3],
    ['{ tenants(first: 10) { ...p } } fragment p on TenantConnection { edges { cursor } }', 12, 3],
    [
      '{ a: tenants(first: 10) { items { name } } b: tenants(first: 10) { items { name } } }',
      24,
      3,
    ],
    ['query ($n: Int) { tenants(first: $n) { items { name } } }', 9, 3],
    ['query ($m: Int) { tenants(first: $m) { items { name } } }', 502, 3],
    ['{ tenants(first: 100000) { items { name } } }', 502, 3],
    ['{ tenants(first: 2) { items { hosts(first: 3) { items { name } } } } }', 12, 5],
    ['{ host(tenant: "a", name: "b") { placements { status cluster { name } } } }', 32, 4],
    [
      '{ tenant(name: "a") { ...f } } fragment f on Tenant { name ... on Tenant { domains } }',
      3,
      2,
    ],
    ['{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }', 0, 0],
    ['{ tenant(name: "a") { nothing { name } } }', 2, 2],
    ['{ certificate(tenant: "a", id: "b") { pem } }', 11, 2],
    ['query a { __typename } query b { tenant(name: "a") { name } }', 2, 2],
  ] as const
  for (const [query, fields, depth] of rows) {
    const cost = costOf(parse(query), { schema, variables: { n: 7 } })
    assert.deepEqual([cost.fields, cost.depth], [fields, depth], query)
  }
})

test('fragments within fragments are measured in the time it takes to write them', () => {
  const fragments = [...Array(200).keys()].map(
    (n) => `fragment f${n} on Query { ...f${n + 1} ...f${n + 1} }`,
  )
  const query = `{ ...f0 } ${fragments.join(' ')} fragment f200 on Query { __typename }`
  assert.ok(costOf(parse(query), { schema, variables: {} }).fields > 1e50)
})

test('what would be too much is refused before it is done', async () => {
  const page = (inner: string) => `tenants(first: 500) { items { ${inner} } }`
  const rows = [
    [`{ ${page('certificates(first: 500) { items { id } }')} }`, 413, 'request-too-large'],
    [
      `{ ${[...Array(60).keys()].map((n) => `a${n}: ${page('name')}`).join(' ')} }`,
      413,
      'request-too-large',
    ],
    [
      `{ tenant(name: "a") { ${'defaultAuthority { tenant { '.repeat(6)} name ${'} }'.repeat(6)} } }`,
      413,
      'request-too-large',
    ],
    [
      `{ ${[...Array(51).keys()].map((n) => `a${n}: __typename`).join(' ')} }`,
      413,
      'request-too-large',
    ],
    [
      `{ ${'...f '.repeat(26)} } fragment f on Query { __typename clusters { nextCursor } }`,
      413,
      'request-too-large',
    ],
    [`{ ${'__typename '.repeat(2001)} }`, 400, 'request-malformed'],
    ['{ tenants(first: 501) { items { name } } }', 422, 'request-invalid'],
    ['{ tenants(first: 0) { items { name } } }', 422, 'request-invalid'],
  ] as const
  for (const [query, status, type] of rows) {
    const { body } = await http.post('/graphql').send({ query })
    const [{ extensions, message }] = body.errors
    assert.deepEqual([extensions.status, extensions.type], [status, problem(type)], message)
  }
})

test('a query that cannot be read says where, an argument that breaks a rule says which', async () => {
  const syntax = await http.post('/graphql').send({ query: '{ tenants {' }).expect(400)
  assert.equal(syntax.body.errors[0].extensions.type, problem('request-malformed'))
  assert.deepEqual(syntax.body.errors[0].locations, [{ line: 1, column: 12 }])
  const ast = await http.post('/graphql').send({ query: JSON.stringify(parse('{ __typename }')) })
  assert.equal(ast.status, 400)
  const unknown = await http.post('/graphql').send({ query: '{ tenents { x } authority { y } }' })
  assert.equal(unknown.status, 400)
  assert.equal(unknown.body.errors.length, 3)
  const variables = await http
    .post('/graphql')
    .send({ query: 'query ($n: Int!) { tenants(first: $n) { items { name } } }' })
    .expect(400)
  assert.match(variables.body.errors[0].message, /\$n/)
  const args = await http.post('/graphql').send({
    query:
      '{ certificates(tenant: "Not A Name", dnsName: "a\\u0000", first: 900) { items { id } } }',
  })
  const [{ extensions, path }] = args.body.errors
  assert.deepEqual(path, ['certificates'])
  assert.deepEqual(extensions.violations.map(({ field }: { field: string }) => field).sort(), [
    '/dnsName',
    '/first',
    '/tenant',
  ])
  const period = await http.post('/graphql').send({
    query: '{ expiringCertificates(within: "soon") { items { id } } }',
  })
  assert.equal(period.body.errors[0].extensions.type, problem('request-invalid'))
})

test('nobody is told anything without a token, not even the schema', async () => {
  const query = getIntrospectionQuery()
  const anonymous = await send(null).post('/graphql').send({ query }).expect(401)
  assert.equal(anonymous.body.type, problem('credentials-missing'))
  const viewer = send(await tokenFor(ctx, null, 'viewer'))
  const { body } = await viewer.post('/graphql').send({ query }).expect(200)
  assert.equal(body.errors, undefined)
  assert.equal(body.data.__schema.queryType.name, 'Query')
})

test('there is one way in: POST of one JSON object', async () => {
  await http.get('/graphql?query={__typename}').expect(422)
  await http.put('/graphql').expect(405)
  assert.equal((await http.get('/graphql').expect(200)).text, sdl)
  await send(null).get('/graphql').expect(401)
  await http.post('/graphql').type('text/plain').send('{ __typename }').expect(415)
  const query = '{ __typename }'
  await http.post('/graphql').send([{ query }, { query }]).expect(422)
  await http.post('/graphql').send({ query: 'mutation { x }' }).expect(400)
  await http.post('/graphql').send({ query, operationName: 'other' }).expect(400)
  await http
    .post('/graphql')
    .send({ query: `#${'x'.repeat(600_000)}` })
    .expect(413)
  const asked = { query, operationName: null, variables: null, extensions: { x: 1 } }
  const { body } = await http.post('/graphql').send(asked).expect(200)
  assert.deepEqual(body, { data: { __typename: 'Query' } })
})

test('answers of GraphQL come in the media type that was asked for, refusals too', async () => {
  const own = 'application/graphql-response+json'
  for (const [query, status] of [
    ['{ __typename }', 200],
    ['{ nothing }', 400],
    ['{', 400],
    ['{ tenants(first: 0) { nextCursor } }', 422],
    [`{ ${'__typename '.repeat(1001)} }`, 400],
    [`{ tenants(first: 500) { items { certificates(first: 500) { items { id } } } } }`, 413],
  ] as const) {
    for (const [accept, type] of [
      [own, own],
      [`${own}, application/json;q=0.9`, own],
      ['application/json', 'application/json'],
      ['*/*', 'application/json'],
    ] as const) {
      const answer = await http.post('/graphql').set('accept', accept).send({ query })
      assert.equal(answer.headers['content-type']?.split(';')[0], type, query.slice(0, 40))
      const { errors } = JSON.parse(answer.text ?? answer.body.toString())
      const told = answer.status === 200 ? (errors?.[0].extensions.status ?? 200) : answer.status
      assert.equal(told, status, query.slice(0, 40))
    }
  }
})

test('each change of a request counts against the limits of who asks', async () => {
  const config = { ...ctx.config, rates: { ...ctx.config.rates, key: 3 } }
  const limited = await buildServer({ ...ctx, config })
  const one = 'removeHost(tenant: "none", name: "a.none.test") { name }'
  const answer = await limited.inject({
    method: 'POST',
    url: '/graphql',
    headers: { authorization: `Bearer ${await tokenFor(ctx, null, 'operator')}` },
    payload: { query: `mutation { a: ${one} b: ${one} c: ${one} d: ${one} e: ${one} }` },
  })
  await limited.close()
  const types = answer
    .json()
    .errors.map(({ extensions }: { extensions: { type: string } }) => extensions.type)
  const [unknown, much] = [problem('tenant-unknown'), problem('rate-limited')]
  assert.deepEqual(types, [unknown, unknown, unknown, much, much])
})

test('what breaks inside is logged and not told', async () => {
  const logged: unknown[] = []
  const quiet = () => undefined
  const logger: FastifyBaseLogger = {
    level: 'error',
    silent: quiet,
    trace: quiet,
    debug: quiet,
    info: quiet,
    warn: quiet,
    fatal: quiet,
    error: (...facts: unknown[]) => logged.push(facts),
    child: () => logger,
  }
  const watched = await buildServer(ctx, logger)
  await createTenant(ctx, admin, { name: 'broken', domains: [] })
  await ctx.db.read.$executeRaw(sql`alter table tenant rename column "displayName" to hunter2`)
  const { body, payload, statusCode } = await watched
    .inject({
      method: 'POST',
      url: '/graphql',
      headers: { authorization: `Bearer ${await tokenFor(ctx, null, 'viewer')}` },
      payload: { query: '{ tenant(name: "broken") { name } authorities { nextCursor } }' },
    })
    .then((answer) => ({ ...answer, payload: answer.payload, body: answer.json() }))
  await watched.close()
  assert.equal(statusCode, 200)
  assert.equal(body.data.tenant, null)
  assert.deepEqual(body.data.authorities, { nextCursor: null })
  const [{ extensions, message }] = body.errors
  assert.equal(extensions.type, problem('internal'))
  assert.match(message, /instance/)
  assert.match(extensions.instance, /^urn:uuid:/)
  assert.doesNotMatch(payload, /hunter2|displayName/)
  assert.equal(logged.length, 1)
})

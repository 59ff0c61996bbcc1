import assert from 'node:assert/strict'
import { subscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import type { FastifyInstance } from 'fastify'
import { buildSchema } from 'graphql'
import Type from 'typebox'
import Value from 'typebox/value'
import { contracts, outdated, undescribed } from '../../tools/contracts.ts'
import { documentedPath } from '../support/contract.ts'

const routes = new Set<string>()
subscribe('fastify.initialization', (message) => {
  const { fastify } = Value.Parse(
    Type.Object({ fastify: Type.Unsafe<FastifyInstance>({}) }),
    message,
  )
  fastify.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) routes.add(`${each} ${documentedPath(url)}`)
  })
})
const emitted = await contracts()

const Operation = Type.Object({
  summary: Type.String({ minLength: 1 }),
  description: Type.String({ minLength: 1 }),
  tags: Type.Array(Type.String(), { minItems: 1 }),
  security: Type.Optional(Type.Array(Type.Unknown())),
  parameters: Type.Optional(
    Type.Array(
      Type.Object({
        in: Type.Optional(Type.String()),
        name: Type.Optional(Type.String()),
        description: Type.Optional(Type.String()),
        $ref: Type.Optional(Type.String()),
      }),
    ),
  ),
  responses: Type.Record(Type.String(), Type.Object({ $ref: Type.Optional(Type.String()) })),
})
const Document = Type.Object({
  openapi: Type.String({ pattern: '^3\\.1\\.' }),
  security: Type.Array(Type.Unknown(), { minItems: 1 }),
  tags: Type.Array(Type.Object({ name: Type.String(), description: Type.String() })),
  paths: Type.Record(Type.String(), Type.Record(Type.String(), Operation)),
})
const Parts = Type.Object({
  components: Type.Record(Type.String(), Type.Record(Type.String(), Type.Unknown())),
})
const text = emitted['openapi/openapi.json'] ?? ''
const document = Value.Parse(Document, JSON.parse(text))
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    path,
    ...operation,
  })),
)

test('the committed contracts are those of the code', async () => {
  assert.deepEqual(await outdated(), [], 'run npm run contracts')
})

test('everything in the schema of GraphQL is described, or it is not emitted', () => {
  const silent = 'type Query { a(b: C, "x" d: C): E } input C { f: Int } enum E { G } "x" scalar H'
  assert.deepEqual(undescribed(buildSchema(silent)).toSorted(), [
    ...['C', 'C.f', 'E', 'E.G', 'Query', 'Query.a', 'Query.a(b)'],
  ])
  const schema = buildSchema(emitted['openapi/schema.graphql'] ?? '')
  assert.deepEqual(undescribed(schema), [])
})

test('the OpenAPI document is valid by the rules of 3.1, and every reference leads somewhere', async () => {
  const validator = new Validator()
  const { valid, errors } = await validator.validate(JSON.parse(text))
  assert.ok(valid, JSON.stringify(errors, null, 2))
  assert.equal(validator.version, '3.1')
  const { components } = Value.Parse(Parts, JSON.parse(text))
  for (const [, kind = '', name = ''] of text.matchAll(/"#\/components\/(\w+)\/([\w-]+)"/g)) {
    assert.ok(Object.hasOwn(components[kind] ?? {}, name), name)
  }
})

// The ACME servers are described by RFC 8555, and their URLs by their directories (test/api/acme).
test('every route that clients use is in the document', () => {
  const served = [...routes].filter((route) =>
    /^(?!HEAD)\w+ \/(v1|pki|renewal-info|graphql)(\/|$)/.test(route),
  )
  assert.ok(served.length > 20)
  assert.deepEqual(operations.map(({ name }) => name).sort(), served.sort())
})

test('every operation says what it does, what it answers and refuses, and who may ask', () => {
  const groups = document.tags.map(({ name }) => name)
  for (const { name, path, responses, security, tags } of operations) {
    const codes = Object.keys(responses)
    for (const kind of [/^2\d\d$/, /^4\d\d$/, /^5\d\d$/, /^default$/]) {
      assert.ok(
        codes.some((code) => kind.test(code)),
        `${name} has no answer ${kind}`,
      )
    }
    assert.ok(
      tags.every((tag) => groups.includes(tag)),
      `${name} has a tag that is not described`,
    )
    const who = JSON.stringify(security ?? document.security)
    const isPublic = /^\/(pki|renewal-info)\//.test(path)
    assert.equal(who, isPublic ? '[]' : '[{"apiKey":[]}]', name)
    assert.equal(codes.includes('401'), !isPublic, name)
  }
})

/** What of writes is left out, and why. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  // What it writes is the mesh config of a cluster, which others write too.
  IfMatch: ['PUT /v1/clusters/{cluster}/mesh-tls'],
  // They change nothing here.
  dryRun: [
    'POST /v1/clusters/{cluster}/check',
    'POST /v1/notices/{notice}/test',
    'POST /v1/tenants/{tenant}/hosts/{host}/plan',
    'POST /v1/tenants/{tenant}/hosts/{host}/probe',
    'POST /v1/tenants/{tenant}/notices/{notice}/test',
  ],
  // An issuer of an authority has no URL of its own.
  Location: ['POST /v1/authorities/{authority}/cross-sign'],
}

test('what is written can be rehearsed, expected to be as it was, sent again, and says where it is', () => {
  const without: Record<string, string[]> = { IfMatch: [], dryRun: [], IdempotencyKey: [] }
  const Headed = Type.Object({ headers: Type.Record(Type.String(), Type.Unknown()) })
  const placeless: string[] = []
  for (const { name, path, parameters = [], responses } of operations) {
    if (name.startsWith('GET ') || !path.startsWith('/v1/')) continue
    const taken = parameters.map(({ name: own, $ref = '' }) => own ?? $ref.split('/').at(-1))
    const made = responses['201']
    const wanted = {
      IfMatch: /^(PUT|PATCH) /.test(name),
      dryRun: true,
      IdempotencyKey: made !== undefined && name.startsWith('POST '),
    }
    for (const [parameter, holds] of Object.entries(wanted)) {
      if (holds && !taken.includes(parameter)) without[parameter]?.push(name)
    }
    const headers = Value.Check(Headed, made) ? Object.keys(made.headers) : []
    if (made && !headers.includes('Location')) placeless.push(name)
  }
  const { Location, ...others } = exceptions
  assert.deepEqual({ ...without, Location: placeless }, { IdempotencyKey: [], ...others, Location })
})

test('every parameter in a path is described', () => {
  for (const { name, path, parameters = [] } of operations) {
    const inPath = parameters.filter((parameter) => parameter.in === 'path')
    const asked = [...path.matchAll(/\{([^}]+)\}/g)].map(([, parameter]) => parameter)
    assert.deepEqual(inPath.map((parameter) => parameter.name).sort(), asked.sort(), name)
    for (const parameter of inPath) assert.ok(parameter.description, `${name} ${parameter.name}`)
  }
})

test('what is one of a few words, or has members, has one name wherever it stands', () => {
  const places = new Map<string, number>()
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    if ('properties' in value || 'enum' in value) {
      const shape = JSON.stringify({ ...value, description: undefined })
      places.set(shape, (places.get(shape) ?? 0) + 1)
    }
    for (const each of Object.values(value)) visit(each)
  }
  visit(JSON.parse(text))
  const twice = [...places].filter(([, count]) => count > 1).map(([shape]) => shape)
  assert.deepEqual(twice, [], 'give its schema a title')
})

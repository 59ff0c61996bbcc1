import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifySchema } from 'fastify'
import { ProblemDocument } from '../shared/schema.ts'
import { isRecord } from '../shared/shape.ts'
import { type AnsweringRoute, answersOf, sharedParts } from './answers.ts'
import type { Api } from './api.ts'
import { namedSchemas } from './components.ts'
import { membersOf, sparseType, withSparse } from './edge/fields.ts'
import { operationId } from './operationid.ts'

const description = `From a host name to working, renewed, revocable, audited TLS on every Istio
cluster that should serve it. Errors are problem documents (RFC 9457) with all violations at once;
lists have cursors; POSTs that create take an Idempotency-Key.`

/** What each group of operations is about. */
const tags = {
  tenants: 'Application teams: their domains, namespaces, policy and quotas',
  'api keys': 'Bearer tokens of people, portals and scripts, each with a role',
  authorities: 'Managed CAs: their certificates, keys and rotation',
  certificates: 'Server, client and peer certificates: issue, renew, revoke, download',
  acme: 'By which ACME clients are let in, and their accounts; the ACME servers themselves (RFC 8555) are found at /acme/{authority}/directory',
  clusters: 'Kubernetes clusters and their Istio ingress gateways',
  hosts: 'Host names that are served with TLS on clusters',
  deliveries: 'Certificates that lie as Secrets in namespaces of a tenant',
  'blocked keys': 'Public keys that are certified no more',
  events: 'What happens, as it happens',
  notices: 'Receivers that are told of what is about to go wrong',
  audit: 'Who did what, and whether the trail is as it was written',
  graphql: 'Everything that can be read, in one request',
  access: 'Who asks, and what that one may do',
  pki: 'What relying parties need, without asking who they are',
} as const

const openapi: NonNullable<FastifyDynamicSwaggerOptions['openapi']> = {
  openapi: '3.1.0',
  info: {
    title: 'Gatesmith',
    version: '1',
    description,
    contact: { name: 'Gatesmith', url: 'https://gatesmith.dev' },
    license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/', description: 'This server' }],
  tags: Object.entries(tags).map(([name, about]) => ({ name, description: about })),
  components: {
    securitySchemes: {
      apiKey: { type: 'http', scheme: 'bearer', description: 'An API key, gsm_…' },
    },
  },
  security: [{ apiKey: [] }],
}

/** Routes by method and URL: an operation of the document leads to its own by `x-route`. */
type ByMark = ReadonlyMap<unknown, AnsweringRoute>

/** How the routes become an OpenAPI 3.1 document. */
function openApi(): FastifyDynamicSwaggerOptions {
  const routes = new Map<unknown, AnsweringRoute>()
  return {
    openapi,
    hideUntagged: true,
    transform: ({ schema, url, route: { method, config = {} } }) => {
      const mark = { 'x-route': `${method} ${url}` }
      routes.set(mark['x-route'], { config, schema })
      return spelledOut({ schema: { ...withFields(schema ?? {}), ...mark }, url })
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) return {}
      return hoist(document.openapiObject, routes)
    },
  }
}

/** `fields`, which names the members that the items of this list have, and what is answered to it. */
function withFields(schema: FastifySchema): FastifySchema {
  const { querystring, response } = schema
  if (!isRecord(querystring) || !isRecord(querystring.properties)) return schema
  const { fields } = querystring.properties
  if (!isRecord(fields)) return schema
  const members = membersOf(response).join(', ')
  const description = `${fields.description}; answered as ${sparseType}. There are ${members}`
  const properties = { ...querystring.properties, fields: { ...fields, description } }
  return {
    ...schema,
    querystring: { ...querystring, properties },
    response: withSparse(response),
  }
}

type Documented = { readonly schema: FastifySchema; readonly url: string }

/** OpenAPI has no parameter that is the rest of a path: it is called `request` there. */
function spelledOut({ schema, url }: Documented): { schema: FastifySchema; url: string } {
  const { params } = schema
  if (!url.endsWith('/*') || !isRecord(params) || !isRecord(params.properties)) {
    return { schema, url }
  }
  const { '*': rest, ...others } = params.properties
  const named = { ...params, properties: { ...others, request: rest } }
  const required = [...Object.keys(others), 'request']
  return {
    schema: { ...schema, params: { ...named, required } },
    url: url.replace(/\*$/, ':request'),
  }
}

/** The page GET /docs loads everything from here, and sets style attributes. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** The OpenAPI document of all routes that are registered afterwards, at GET /openapi.json, and GET /docs,
 *  which shows it and needs no network but this server. */
export async function docs(api: Api): Promise<void> {
  await api.register(swagger, openApi())
  await api.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: policy,
    theme: { title: 'Gatesmith API' },
    // Without the bar that asks for other documents.
    uiConfig: { layout: 'BaseLayout' },
  })
  api.get('/openapi.json', async (_request, reply) => {
    reply.type('application/json')
    return api.swagger()
  })
}

/** A problem as a body; which of them an operation answers is put beside it by src/api/answers.ts. */
export const problemContent = {
  'application/problem+json': { schema: ProblemDocument },
} as const

type Json = Readonly<Record<string, unknown>>

/** The document with its schemas, answers and parameters by name. */
function hoist<T extends object>(document: T, routes: ByMark): T {
  const { value, schemas } = namedSchemas('paths' in document ? document.paths : {})
  const responses: Record<string, unknown> = {}
  const paths = mapped(value, (item, path) =>
    mapped(item, (operation, method) => {
      const id = operationId(method, path)
      const route = routes.get(operation['x-route']) ?? {}
      return { operationId: id, ...complete(operation, { id, method, route }, responses) }
    }),
  )
  const components: Json =
    'components' in document && isRecord(document.components) ? document.components : {}
  return { ...document, paths, components: { ...components, ...sharedParts, responses, schemas } }
}

/** A record with each of its members that is one made another. */
function mapped(value: unknown, made: (member: Json, name: string) => unknown): unknown {
  if (!isRecord(value)) return value
  const members = Object.entries(value).map(([name, member]) => [
    name,
    isRecord(member) ? made(member, name) : member,
  ])
  return Object.fromEntries(members)
}

/** An operation with all its parameters and answers. */
function complete(
  { 'x-route': _, ...operation }: Json,
  from: Parameters<typeof answersOf>[1],
  shared: Record<string, unknown>,
): Json {
  const { responses, parameters, requestBody } = operation
  const { idempotent, versioned } = from.route.config ?? {}
  const given: readonly unknown[] = Array.isArray(parameters) ? parameters : []
  const names = [
    ...(idempotent ? ['IdempotencyKey'] : []),
    ...(versioned ? ['IfMatch', 'IfNoneMatch'] : []),
  ]
  const all = [...given, ...names.map((name) => ({ $ref: `#/components/parameters/${name}` }))]
  return {
    ...operation,
    ...(all.length > 0 ? { parameters: all } : {}),
    ...(isRecord(requestBody) && maySendNothing(from.route.schema)
      ? { requestBody: { ...requestBody, required: false } }
      : {}),
    ...(isRecord(responses) ? { responses: answersOf(responses, from, shared) } : {}),
  }
}

/** Whether a route takes no body for a body: Fastify reads one as null, and @fastify/swagger requires all. */
function maySendNothing(schema: FastifySchema | undefined): boolean {
  const { body } = schema ?? {}
  const alternatives: unknown = isRecord(body) ? body.anyOf : undefined
  return (
    Array.isArray(alternatives) &&
    alternatives.some((each) => isRecord(each) && each.type === 'null')
  )
}

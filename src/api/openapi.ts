import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { ProblemDocument } from '../shared/schema.ts'
import { isRecord } from '../shared/shape.ts'
import type { Api } from './api.ts'
import { operationId } from './operationid.ts'

const description = `From a host name to working, renewed, revocable, audited TLS on every Istio
cluster that should serve it. Errors are problem documents (RFC 9457) with all violations at once;
lists have cursors; POSTs that create take an Idempotency-Key.`

/** How the routes become an OpenAPI 3.1 document. */
const openApi: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: { title: 'Gatesmith', version: '1', description },
    components: {
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'An API key, gsm_…' },
      },
    },
    security: [{ apiKey: [] }],
  },
  hideUntagged: true,
  transformObject: (document) => {
    if (!('openapiObject' in document)) return {}
    return hoist(document.openapiObject)
  },
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
  await api.register(swagger, openApi)
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

/** What every route may answer besides its success. */
export const problemResponse = {
  default: {
    description: 'A problem (RFC 9457)',
    content: { 'application/problem+json': { schema: ProblemDocument } },
  },
} as const

type Json = Readonly<Record<string, unknown>>

/** Schemas with a title become named components, so that client generators name their types so. */
function hoist<T extends object>(document: T): T {
  const schemas: Record<string, unknown> = {}
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit)
    if (!isRecord(value)) return value
    const seen = Object.fromEntries(Object.entries(value).map(([key, each]) => [key, visit(each)]))
    const { title, type } = seen
    if (typeof title !== 'string' || type !== 'object' || !/^[A-Z]\w+$/.test(title)) return seen
    schemas[title] = seen
    return { $ref: `#/components/schemas/${title}` }
  }
  const paths = 'paths' in document ? named(visit(document.paths)) : {}
  const components: Json =
    'components' in document && isRecord(document.components) ? document.components : {}
  return { ...document, paths, components: { ...components, schemas } }
}

/** Each operation with a name, by which generated clients call it. */
function named(paths: unknown): unknown {
  if (!isRecord(paths)) return paths
  const all = Object.entries(paths).map(([path, item]) => {
    if (!isRecord(item)) return [path, item]
    const operations = Object.entries(item).map(([method, operation]) =>
      isRecord(operation)
        ? [method, { operationId: operationId(method, path), ...operation }]
        : [method, operation],
    )
    return [path, Object.fromEntries(operations)]
  })
  return Object.fromEntries(all)
}

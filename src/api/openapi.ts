import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { ProblemDocument } from '../shared/schema.ts'

const description = `From a host name to working, renewed, revocable, audited TLS on every Istio
cluster that should serve it. Errors are problem documents (RFC 9457) with all violations at once;
lists have cursors; POSTs that create take an Idempotency-Key.`

/** How the routes become an OpenAPI 3.1 document. */
export const openApi: FastifyDynamicSwaggerOptions = {
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
  const paths = 'paths' in document ? visit(document.paths) : {}
  const components: Json =
    'components' in document && isRecord(document.components) ? document.components : {}
  return { ...document, paths, components: { ...components, schemas } }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

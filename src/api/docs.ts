import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { Api } from './api.ts'
import { openApi } from './openapi.ts'

/** Everything from here; the page sets style attributes. */
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

/** The OpenAPI document of all routes that are registered afterwards, and GET /docs, which shows it and
 *  needs no network but this server. */
export async function docs(api: Api): Promise<void> {
  await api.register(swagger, openApi)
  await api.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: policy,
    theme: { title: 'Gatesmith API' },
    // Without the bar that asks for other documents.
    uiConfig: { layout: 'BaseLayout' },
  })
}

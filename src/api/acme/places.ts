import type { FastifyRequest } from 'fastify'
import type { Context } from '../../core/context.ts'
import { isRecord } from '../../shared/shape.ts'

/** Where everything of the ACME server of an authority is (RFC 8555 7.1). */
export type AcmePlaces = {
  /** What renewal information is asked at (RFC 9773 4.1), of all authorities. */
  readonly renewalInfo: string
  /** The URL of this request, as its signature has to name it. */
  readonly requested: string
  readonly at: (...path: readonly string[]) => string
}

/** The URLs as this client reaches them: those of the settings, or of the host that it asks. */
export function acmePlaces(ctx: Context, request: FastifyRequest): AcmePlaces {
  const { url } = ctx.config.acme
  const asked = request.host === '' ? ctx.config.publicUrl : `${request.protocol}://${request.host}`
  const base = url ?? asked
  const root = `${base}/acme/${authorityIn(request)}`
  return {
    renewalInfo: `${base}/renewal-info`,
    requested: `${base}${request.url}`,
    at: (...path) => [root, ...path].join('/'),
  }
}

/** The name of the authority whose server is asked. */
export function authorityIn({ params }: FastifyRequest): string {
  return isRecord(params) ? String(params.authority) : ''
}

import Type from 'typebox'
import { getChains } from '../../authorities/issuers/crosssign.ts'
import { getRenewalInfo, RenewalInfo } from '../../certificates/renewal/find.ts'
import type { Context } from '../../core/context.ts'
import { closed, Name } from '../../shared/schema.ts'
import type { Api } from '../api.ts'

/** How soon clients are to ask again (RFC 9773 4.3): an order to replace reaches them within that. */
const againSeconds = 6 * 3600

/** When to renew, and the chains to verify by. */
export function renewalInfo(api: Api, ctx: Context): void {
  api.get(
    '/renewal-info/:id',
    {
      config: { bears: ['Retry-After'], problems: ['certificate-unknown'] },
      schema: {
        tags: ['pki'],
        summary: 'When to renew a certificate (RFC 9773)',
        description:
          'By base64url(keyIdentifier of its authorityKeyIdentifier).base64url(serial). A window in the past: at once. Ask again after Retry-After seconds.',
        security: [],
        params: closed({
          id: Type.String({
            maxLength: 200,
            pattern: '^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$',
            description:
              'base64url(keyIdentifier).base64url(serial), without padding (RFC 9773 4.1)',
          }),
        }),
        response: { 200: RenewalInfo },
      },
    },
    async (request, reply) => {
      const info = await getRenewalInfo(ctx, request.params.id)
      return reply
        .header('retry-after', againSeconds)
        .header('cache-control', 'public, max-age=300')
        .send(info)
    },
  )

  api.get(
    '/pki/:authority/chains.pem',
    {
      config: { problems: ['authority-unknown'] },
      schema: {
        tags: ['pki'],
        summary: 'The certificates of an authority by all who signed it, and those above, in PEM',
        description: 'Each once, so that who verifies finds a chain to any root that it trusts.',
        security: [],
        params: closed({ authority: Name }),
        response: {
          200: {
            description: 'CA certificates, none self-signed; to be given as untrusted',
            content: { 'application/pem-certificate-chain': { schema: Type.String() } },
          },
        },
      },
    },
    async (request, reply) =>
      reply
        .type('application/pem-certificate-chain')
        .header('cache-control', 'public, max-age=3600')
        .send(await getChains(ctx, request.params.authority)),
  )
}

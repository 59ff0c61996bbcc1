import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { getShard, getWholeList, type PublishedList } from '../../authorities/crl/find.ts'
import { highestShard } from '../../authorities/crl/urls.ts'
import { getCaCertificate } from '../../authorities/find.ts'
import { getTrustBundle } from '../../authorities/trust/bundle.ts'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { closed, Name, Octets } from '../../shared/schema.ts'
import type { Api } from '../api.ts'
import { ocsp } from './ocsp.ts'
import { renewalInfo } from './renewalinfo.ts'

const params = closed({ authority: Name })

const shard = closed({
  authority: Name,
  key: Type.String({ pattern: '^[0-9a-f]{16}$', description: 'Which key of the authority' }),
  shard: Type.Integer({ minimum: 1, maximum: highestShard, description: 'Which part of the list' }),
})

/** How long relying parties may keep a list without asking again: a revocation is to be heard of. */
const freshSeconds = 300

/** What relying parties need, without asking who they are: http, as RFC 5280 4.2.2.1 expects. */
export async function pki(instance: FastifyInstance, { ctx }: { ctx: Context }): Promise<void> {
  await instance.register(async (api: Api) => renewalInfo(api, ctx))
  await instance.register(async (api: Api) => certificates(api, ctx), { prefix: '/pki/:authority' })
  await instance.register(async (api: Api) => lists(api, ctx), { prefix: '/pki/:authority' })
  await instance.register(async (api: Api) => ocsp(api, ctx), { prefix: '/pki/:authority' })
}

function certificates(api: Api, ctx: Context): void {
  api.get(
    '/ca.crt',
    {
      config: { problems: ['authority-unknown'] },
      schema: {
        tags: ['pki'],
        summary: 'The certificate of an authority, in DER',
        description: 'The certificate of the key that signs now.',
        security: [],
        params,
        response: { 200: binary('A certificate', 'application/pkix-cert') },
      },
    },
    async (request, reply) => sendCertificate(reply, await getCaCertificate(ctx, request.params)),
  )

  api.get(
    '/ca/:key',
    {
      config: { problems: ['authority-unknown'] },
      schema: {
        tags: ['pki'],
        summary: 'The certificate of one of its keys, as certificates name it (caIssuers), in DER',
        description: 'By the first 16 hexadecimal digits of its subject key identifier.',
        security: [],
        params: closed({ authority: Name, key: shard.properties.key }),
        response: { 200: binary('A certificate', 'application/pkix-cert') },
      },
    },
    async (request, reply) => sendCertificate(reply, await getCaCertificate(ctx, request.params)),
  )

  api.get(
    '/ca.pem',
    {
      config: { problems: ['authority-unknown'] },
      schema: {
        tags: ['pki'],
        summary: 'What to trust: the roots above every certificate of an authority, in PEM',
        description: 'Through a change of key it holds the old root and the new one.',
        security: [],
        params,
        response: {
          200: {
            description: 'Self-signed certificates',
            content: { 'application/pem-certificate-chain': { schema: Type.String() } },
          },
        },
      },
    },
    async (request, reply) => {
      const pem = await getTrustBundle(ctx, request.params.authority)
      return reply
        .type('application/pem-certificate-chain')
        .header('cache-control', 'public, max-age=3600')
        .send(pem)
    },
  )
}

function lists(api: Api, ctx: Context): void {
  const response = {
    200: binary('A revocation list', 'application/pkix-crl'),
    304: Type.Null({ description: 'It is the one that you have' }),
  }

  const config: FastifyContextConfig = {
    conditional: true,
    bears: ['ETag', 'Last-Modified'],
    problems: ['authority-unknown', 'list-unknown', 'authority-keyless', 'precondition-refused'],
  }

  api.get(
    '/crl',
    {
      config,
      schema: {
        tags: ['pki'],
        summary: 'All that the current key of an authority has revoked (RFC 5280 5), in DER',
        description:
          'Signed by the key that signs now. With If-None-Match or If-Modified-Since, 304 when it is unchanged.',
        security: [],
        params,
        response,
      },
    },
    async (request, reply) =>
      sendList(await getWholeList(ctx, request.params.authority), { ctx, request, reply }),
  )

  api.get(
    '/crl/:key/:shard',
    {
      config,
      schema: {
        tags: ['pki'],
        summary: 'The revocation list that certificates name, in DER',
        description:
          'Complete for the certificates that name this URL (issuingDistributionPoint). With If-None-Match or If-Modified-Since, 304 when it is unchanged.',
        security: [],
        params: shard,
        response,
      },
    },
    async (request, reply) =>
      sendList(await getShard(ctx, request.params), { ctx, request, reply }),
  )
}

function sendCertificate(reply: FastifyReply, der: Buffer): FastifyReply {
  return reply
    .type('application/pkix-cert')
    .header('cache-control', 'public, max-age=3600')
    .send(der)
}

function binary(description: string, mediaType: string) {
  return { description, content: { [mediaType]: { schema: Octets } } }
}

/** The list, or that it is the one the client has (RFC 9110 13.1). */
function sendList(
  { number, thisUpdate, nextUpdate, der }: PublishedList,
  { ctx, request, reply }: { ctx: Context; request: FastifyRequest; reply: FastifyReply },
): FastifyReply {
  const etag = `"${number}"`
  const left = Math.floor((nextUpdate.getTime() - ctx.now().getTime()) / 1000)
  reply
    .header('etag', etag)
    .header('last-modified', thisUpdate.toUTCString())
    .header('cache-control', `public, max-age=${Math.max(0, Math.min(left, freshSeconds))}`)
  if (isAnother(request, { etag, thisUpdate })) {
    throw new Problem('precondition-refused', 'The list has changed since')
  }
  return isKnown(request, { etag, thisUpdate })
    ? reply.code(304).send()
    : reply.type('application/pkix-crl').send(der)
}

type Version = { readonly etag: string; readonly thisUpdate: Date }

/** If-Match counts, and If-Unmodified-Since only without it. */
function isAnother({ headers }: FastifyRequest, { etag, thisUpdate }: Version): boolean {
  const tags = headers['if-match']
  if (tags !== undefined) return !tags.split(',').some((tag) => ['*', etag].includes(tag.trim()))
  return Date.parse(headers['if-unmodified-since'] ?? '') < thisUpdate.getTime()
}

/** If-None-Match counts, and If-Modified-Since only without it. */
function isKnown({ headers }: FastifyRequest, { etag, thisUpdate }: Version): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined) {
    return tags.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')))
  }
  const since = Date.parse(headers['if-modified-since'] ?? '')
  return since >= thisUpdate.getTime()
}

import type { FastifyInstance } from 'fastify'
import type { Context } from '../../core/context.ts'
import { isRecord } from '../../shared/shape.ts'
import type { Api, Routes } from '../api.ts'
import { admission } from '../edge/admission.ts'
import { tagsAnswers } from '../edge/conditions.ts'
import { answersFields } from '../edge/fields.ts'
import { isRehearsal } from '../rehearsal.ts'
import { apiKeyById } from './access/keys.ts'
import { apiKeyRotations } from './access/rotations.ts'
import { whoami } from './access/whoami.ts'
import { acmeAccounts } from './acme/accounts.ts'
import { acmeKeys } from './acme/keys.ts'
import { apiKeys } from './apikeys.ts'
import { audit } from './audit.ts'
import { authorities } from './authorities.ts'
import { certificateBatches } from './batches/certificates.ts'
import { hostBatches } from './batches/hosts.ts'
import { revocationBatches } from './batches/revocations.ts'
import { certificates } from './certificates.ts'
import { clusters } from './clusters.ts'
import { deliveries } from './deliveries.ts'
import { notices, tenantNotices } from './events/notices.ts'
import { events } from './events/stream.ts'
import { foreignCertificates } from './foreign.ts'
import { hosts } from './hosts.ts'
import { approvals } from './keys/approvals.ts'
import { blockedKeys } from './keys/blocked.ts'
import { rotations } from './keys/rotations.ts'
import { replacements } from './replacements.ts'
import { tenants } from './tenants.ts'

/** Every noun under /v1. */
export const nouns: readonly Routes[] = [
  tenants,
  apiKeys,
  apiKeyById,
  apiKeyRotations,
  whoami,
  authorities,
  rotations,
  approvals,
  blockedKeys,
  certificates,
  certificateBatches,
  revocationBatches,
  acmeKeys,
  acmeAccounts,
  replacements,
  clusters,
  foreignCertificates,
  hosts,
  hostBatches,
  deliveries,
  events,
  tenantNotices,
  notices,
  audit,
]

/** All their routes; each request tells who asks, and whether that one may, before anything else is looked at. */
export async function rest(api: FastifyInstance, { ctx }: { ctx: Context }): Promise<void> {
  admission(api, ctx)
  answersFields(api)
  tagsAnswers(api)
  namesPlaces(api)
  for (const noun of nouns) {
    await api.register(async (scope: Api) => {
      for (const route of Object.values(noun)) route(scope, ctx)
    })
  }
}

/** Has every answer that says that something was made tell where it is (RFC 9110 10.2.2); of a rehearsal it is
 *  nowhere. */
function namesPlaces(api: FastifyInstance): void {
  api.addHook('preSerialization', async (request, reply, answer: unknown) => {
    if (reply.statusCode !== 201 || !isRecord(answer)) return answer
    if (request.routeOptions.config.placeless || isRehearsal(request)) return answer
    const place = placeOf(request.method, request.url.replace(/\?.*$/s, ''), answer)
    if (place !== undefined) reply.header('location', place)
    return answer
  })
}

/** What is put is where it was put; what is posted is in the list that it was posted to, by the name that its
 *  URL has. */
function placeOf(
  method: string,
  path: string,
  { id, name, spkiSha256 }: Readonly<Record<string, unknown>>,
): string | undefined {
  if (method === 'PUT') return path
  const list = path.replace(/\/import$|(:|%3A)import$|\/[^/]+\/renew$|(:|%3A)certificate$/i, '')
  const key = id ?? name ?? spkiSha256
  return typeof key === 'string' ? `${list}/${encodeURIComponent(key)}` : undefined
}

import type { FastifyInstance } from 'fastify'
import type { Context } from '../../core/context.ts'
import type { Api, Routes } from '../api.ts'
import { admission } from '../edge/admission.ts'
import { answersFields } from '../edge/fields.ts'
import { apiKeys } from './apikeys.ts'
import { audit } from './audit.ts'
import { authorities } from './authorities.ts'
import { batch } from './batch.ts'
import { certificates } from './certificates.ts'
import { clusters } from './clusters.ts'
import { deliveries } from './deliveries.ts'
import { notices, tenantNotices } from './events/notices.ts'
import { events } from './events/stream.ts'
import { hosts } from './hosts.ts'
import { blockedKeys } from './keys/blocked.ts'
import { rotations } from './keys/rotations.ts'
import { replacements } from './replacements.ts'
import { tenants } from './tenants.ts'

/** Every noun under /v1. */
export const nouns: readonly Routes[] = [
  tenants,
  apiKeys,
  authorities,
  rotations,
  blockedKeys,
  certificates,
  batch,
  replacements,
  clusters,
  hosts,
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
  for (const noun of nouns) {
    await api.register(async (scope: Api) => {
      for (const route of Object.values(noun)) route(scope, ctx)
    })
  }
}

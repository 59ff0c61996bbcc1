import Type from 'typebox'
import { record } from '../../audit/record.ts'
import { type Actor, allowPlatform, holds } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { bytes, isDuplicate, sql, type Tx } from '../../core/database/db.ts'
import { byMade, listRows, when } from '../../core/database/lists.ts'
import { named, rowsOf } from '../../core/database/rows.ts'
import { type List, listQuery, MadeSort } from '../../shared/lists/query.ts'
import { day } from '../../shared/moment.ts'
import { must } from '../../shared/must.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { Name, Role } from '../../shared/schema.ts'
import { shown, timestamp, timestampOrNull } from '../../shared/view.ts'
import { accessTenant } from '../access.ts'
import { dayOf, quotaExceeded, quotasOf } from '../quotas/limits.ts'
import { type Holder, holdRoom, inForce } from '../quotas/usage.ts'
import { forgetAnswers } from './answers.ts'
import { lockAdmins, refuseLastAdmin } from './inforce.ts'
import {
  ApiKey,
  type ApiKeyWithToken,
  type CertificateBinding,
  type NewApiKey,
  type NewCertificateKey,
} from './schema.ts'
import { newToken, prefixOf, tokenHash } from './token.ts'

/** Whose keys: a tenant's by name, or the platform's own (null). */
type Owner =
  | { readonly id: null; readonly name: null }
  | { readonly id: string; readonly name: string; readonly quotas: unknown }

/** Whose keys are spoken of, if the actor may decide about them. Throws tenant-unknown, forbidden. */
export async function owner(ctx: Context, actor: Actor, tenant: string | null): Promise<Owner> {
  if (tenant === null) {
    allowPlatform(actor, 'write-api-keys')
    return { id: null, name: null }
  }
  return accessTenant(ctx, actor, { name: tenant, permission: 'write-api-keys' })
}

/** Makes an API key; its token is in this answer and nowhere else. Throws tenant-unknown,
 *  request-invalid. */
export async function createApiKey(
  ctx: Context,
  actor: Actor,
  { tenant, request }: { tenant: string | null; request: NewApiKey },
): Promise<ApiKeyWithToken> {
  const token = newToken()
  const means = { tokenHash: tokenHash(token), tokenPrefix: prefixOf(token), boundTo: null }
  return { ...(await storeKey(ctx, actor, { tenant, request, means })), token }
}

/** Makes an API key that client certificates of the tenant's open, over TLS, and no token. Throws tenant-unknown,
 *  request-invalid. */
export function createCertificateKey(
  ctx: Context,
  actor: Actor,
  { tenant, request }: { tenant: string; request: NewCertificateKey },
): Promise<ApiKey> {
  // Of no token that there is.
  const hash = ctx.random(32)
  const means = { tokenHash: hash, tokenPrefix: null, boundTo: boundText(request.certificate) }
  return storeKey(ctx, actor, { tenant, request, means })
}

/** By what a key is opened. */
type Means = {
  readonly tokenHash: Buffer
  readonly tokenPrefix: string | null
  readonly boundTo: string | null
}

async function storeKey(
  ctx: Context,
  actor: Actor,
  { tenant, request, means }: { tenant: string | null; request: NewApiKey; means: Means },
): Promise<ApiKey> {
  const whose = await owner(ctx, actor, tenant)
  const tenantId = whose.id
  const now = ctx.now()
  const expiresAt = keyEndOf(ctx, request.expiresAt)
  const { name, role, scopes = [...(actor.scopes ?? [])] } = request
  refuseMore(actor, scopes)
  const { tokenHash: hash, ...shownMeans } = means
  const made = { createdAt: now, createdBy: actor.name, creatorId: actor.id, ...shownMeans }
  const row = { id: newId(now), tenantId, name, role, scopes, ...made, expiresAt }
  try {
    return await ctx.db.transaction(async (tx) => {
      if (whose.id !== null) await holdKeyRoom(tx, { ctx, tenant: whose })
      await tx.apiKey.create({ data: { ...row, tokenHash: bytes(hash) } })
      await record(tx, { actor, now }, 'api-key.created', {
        subject: { kind: 'api-key', id: row.id, name, tenantId },
        changes: {
          ...{ role, tenant, expiresAt: timestampOrNull(expiresAt), prefix: row.tokenPrefix },
          ...(scopes.length === 0 ? {} : { scopes }),
          ...(row.boundTo === null ? {} : { certificate: row.boundTo }),
        },
      })
      return apiKeyView({ ...unused, ...row, tenant: { name: tenant } })
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw nameTaken(name)
  }
}

/** A name, or a certificate, is of one key in force alone. */
export function nameTaken(name: string): Problem {
  const message = `An API key "${name}", or one for this certificate, is in force; revoke it or choose another name`
  return new Problem('request-invalid', message, { violations: [{ field: '/name', message }] })
}

const bindings = [
  ['fingerprintSha256', 'sha256'],
  ['uri', 'uri'],
  ['dnsName', 'dns'],
  ['commonName', 'cn'],
] as const

/** A binding as it is stored. */
function boundText(binding: CertificateBinding): string {
  const [text] = bindings.flatMap(([name, prefix]) => {
    const value = binding[name]
    return value === undefined ? [] : [`${prefix}:${value}`]
  })
  return must(text, 'a binding names something')
}

/** The same as it is shown. */
function bindingOf(text: string | null): Record<string, string> | null {
  const [, prefix, value = ''] = /^(\w+):(.*)$/s.exec(text ?? '') ?? []
  const found = bindings.find(([, each]) => each === prefix)
  return found ? { [found[0]]: value } : null
}

const unused = { rotatedAt: null, formerUntil: null, lastUsedAt: null, lastUsedFrom: null }

/** When a key ends whose token was made then: as asked for, within what the settings allow; null: never. Throws
 *  request-invalid. */
export function keyEndOf(
  ctx: Context,
  asked: string | undefined,
  since: Date = ctx.now(),
): Date | null {
  const { apiKeyDays } = ctx.config
  const now = ctx.now()
  const last = apiKeyDays === undefined ? null : new Date(since.getTime() + apiKeyDays * day)
  if (asked === undefined) return last
  const end = new Date(asked)
  const message =
    end <= now
      ? 'expiresAt lies in the past'
      : last && end > last
        ? `An API key is good for ${apiKeyDays} days at most, until ${timestamp(last)}`
        : undefined
  if (message !== undefined) refuse('request-invalid', [{ field: '/expiresAt', message }])
  return end
}

/** Nobody hands out more than they have: a key that is narrowed to scopes makes, and gets tokens of, keys
 *  within those. Throws forbidden. */
export function refuseMore(actor: Actor, scopes: readonly string[]): void {
  if (!actor.scopes) return
  const more = scopes.length === 0 ? ['all'] : scopes.filter((scope) => !holds(actor, scope))
  if (more.length === 0) return
  throw new Problem(
    'forbidden',
    `"${actor.name}" has ${actor.scopes.join(', ')}, and not ${more.join(', ')}`,
  )
}

/** How many keys a tenant may make in a day for each that it may have: those that were revoked stay on
 *  record. */
const churn = 10

async function holdKeyRoom(tx: Tx, holder: Holder): Promise<void> {
  const { ctx, tenant } = holder
  const now = ctx.now()
  const tenantId = tenant.id
  const count = () => tx.apiKey.count({ where: { tenantId, ...inForce(now) } })
  await holdRoom(tx, holder, { quota: 'apiKeys', count })
  const today = new Date(dayOf(now).day)
  const made = await tx.apiKey.count({ where: { tenantId, createdAt: { gte: today } } })
  const limit = churn * quotasOf(tenant, ctx.config).apiKeys
  if (made >= limit) throw quotaExceeded('apiKeys', { limit, used: made, now })
}

/** Which API keys are listed; all that is named must hold. */
export const ApiKeyQuery = listQuery(MadeSort, {
  role: Type.Optional(Role),
  name: Type.Optional(Name),
})
export type ApiKeyQuery = Readonly<Type.Static<typeof ApiKeyQuery>>

const listing = byMade(
  rowsOf('ApiKey', { tenant: named(sql`tenant`, sql`api_key."tenantId"`) }),
  'createdAt',
)

/** The keys in force, oldest first unless asked otherwise. Throws tenant-unknown, forbidden,
 *  cursor-refused. */
export async function listApiKeys(
  ctx: Context,
  actor: Actor,
  { tenant, ...query }: ApiKeyQuery & { readonly tenant: string | null },
): Promise<List<ApiKey>> {
  const { id: tenantId } = await owner(ctx, actor, tenant)
  const conditions = [
    tenantId === null
      ? sql`api_key."tenantId" is null`
      : sql`api_key."tenantId" = ${tenantId}::uuid`,
    sql`api_key."revokedAt" is null`,
    ...when(query.role, (one) => sql`api_key."role" = ${one}`),
    ...when(query.name, (one) => sql`api_key."name" = ${one}`),
  ]
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: page.items.map(apiKeyView) }
}

/** Revokes a key: the next request with it is refused. The last key of a platform admin is kept, so that
 *  nobody locks everybody out. Throws api-key-unknown, api-key-needed. */
export async function revokeApiKey(
  ctx: Context,
  actor: Actor,
  { tenant, id }: { tenant: string | null; id: string },
): Promise<void> {
  const { id: tenantId } = await owner(ctx, actor, tenant)
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    await lockAdmins(tx)
    const where = { id, tenantId, revokedAt: null }
    const key = await tx.apiKey.findFirst({ where, select: { name: true, role: true } })
    if (!key) throw new Problem('api-key-unknown', `There is no API key ${id}`)
    if (key.role === 'admin' && tenantId === null && actor.kind !== 'system') {
      await refuseLastAdmin(tx, { id, now })
    }
    await tx.apiKey.updateMany({ where, data: { revokedAt: now } })
    await forgetAnswers(tx, [id])
    await record(tx, { actor, now }, 'api-key.revoked', {
      subject: { kind: 'api-key', id, name: key.name, tenantId },
      changes: {},
    })
  })
}

/** A key as it is shown. */
export function apiKeyView(row: {
  id: string
  name: string
  role: string
  scopes: string[]
  tokenPrefix: string | null
  boundTo: string | null
  createdAt: Date
  createdBy: string | null
  rotatedAt: Date | null
  expiresAt: Date | null
  formerUntil: Date | null
  lastUsedAt: Date | null
  lastUsedFrom: string | null
  tenant: { name: string | null } | null
}): ApiKey {
  return shown(ApiKey, {
    id: row.id,
    name: row.name,
    role: row.role,
    scopes: row.scopes.length === 0 ? null : row.scopes,
    tenant: row.tenant?.name ?? null,
    prefix: row.tokenPrefix,
    certificate: bindingOf(row.boundTo),
    createdAt: timestamp(row.createdAt),
    createdBy: row.createdBy,
    rotatedAt: timestampOrNull(row.rotatedAt),
    expiresAt: timestampOrNull(row.expiresAt),
    formerUntil: timestampOrNull(row.formerUntil),
    lastUsedAt: timestampOrNull(row.lastUsedAt),
    lastUsedFrom: row.lastUsedFrom,
  })
}

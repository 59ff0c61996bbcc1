import { record } from '../../audit/record.ts'
import { type IssuingAuthority, issuingAuthority } from '../../authorities/issuers/current.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { bytes, isDuplicate, sql, type Tx } from '../../core/database/db.ts'
import { byMade, listRows, when } from '../../core/database/lists.ts'
import { named, rowsOf } from '../../core/database/rows.ts'
import type { List } from '../../shared/lists/query.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { hostSpelling } from '../../shared/spelling.ts'
import { shown, timestamp, timestampOrNull } from '../../shared/view.ts'
import { accessTenant } from '../../tenants/access.ts'
import { forgetAnswers } from '../../tenants/apikeys/answers.ts'
import { holdRoom } from '../../tenants/quotas/usage.ts'
import { dnsNameFault } from '../../x509/names/altnames.ts'
import { endAccounts } from '../accounts/end.ts'
import { AcmeKey, type AcmeKeyQuery, type AcmeKeyWithSecret, type NewAcmeKey } from './schema.ts'
import { sealMacKey } from './secret.ts'

const permission = 'write-acme-keys'

/** A CA elsewhere opens accounts itself. */
function keylessFaults(authority: IssuingAuthority | null): readonly Violation[] {
  if (authority?.kind !== 'acme') return []
  const message = `"${authority.name}" is a CA elsewhere (acme), which has an ACME server of its own: name an authority that signs here`
  return [{ field: '/authority', message }]
}

/** Makes a key by which ACME clients are let in; what they sign with is in this answer and nowhere else.
 *  Throws tenant-unknown, forbidden, authority-unknown, request-invalid, quota-exceeded. */
export async function createAcmeKey(
  ctx: Context,
  actor: Actor,
  { tenant: name, request }: { tenant: string; request: NewAcmeKey },
): Promise<AcmeKeyWithSecret> {
  const tenant = await accessTenant(ctx, actor, { name, permission })
  const now = ctx.now()
  const authority =
    request.authority === undefined
      ? null
      : await issuingAuthority(ctx, { name: request.authority, tenantId: tenant.id })
  const names = (request.names ?? []).map(hostSpelling)
  const expiresAt = request.expiresAt === undefined ? null : new Date(request.expiresAt)
  refuse('request-invalid', [
    ...keylessFaults(authority),
    ...nameFaults(names),
    ...endFaults(expiresAt, now),
  ])
  const mac = ctx.random(32)
  const row = {
    ...{ id: newId(now), tenantId: tenant.id, name: request.name, names, expiresAt },
    ...{ authorityId: authority?.id ?? null, profiles: [...(request.profiles ?? [])] },
    ...{ preauthorized: request.preauthorized ?? true, createdAt: now, createdBy: actor.name },
  }
  const sealed = bytes(sealMacKey(ctx, row.id, mac))
  try {
    return await ctx.db.transaction(async (tx) => {
      const count = () => tx.acmeKey.count({ where: { tenantId: tenant.id, revokedAt: null } })
      await holdRoom(tx, { ctx, tenant }, { quota: 'apiKeys', count })
      await tx.acmeKey.create({ data: { ...row, secret: { create: { sealed } } } })
      await record(tx, { actor, now }, 'acme-key.created', {
        subject: subjectOf(row),
        changes: {
          ...{ authority: authority?.name ?? null, names, profiles: row.profiles },
          ...{ preauthorized: row.preauthorized, expiresAt: timestampOrNull(expiresAt) },
        },
      })
      const made = { ...row, tenant: { name }, authority: authority && { name: authority.name } }
      return { ...acmeKeyView(made), hmacKey: mac.toString('base64url') }
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const message = `An ACME key "${request.name}" is in force; remove it or choose another name`
    throw new Problem('request-invalid', message, { violations: [{ field: '/name', message }] })
  }
}

function nameFaults(names: readonly string[]): readonly Violation[] {
  return names.flatMap((name, at) => {
    const message = dnsNameFault(name)
    return message === undefined ? [] : [{ field: `/names/${at}`, message }]
  })
}

function endFaults(expiresAt: Date | null, now: Date): readonly Violation[] {
  if (expiresAt === null || expiresAt > now) return []
  return [{ field: '/expiresAt', message: 'expiresAt lies in the past' }]
}

const listing = byMade(
  rowsOf('AcmeKey', {
    tenant: named(sql`tenant`, sql`acme_key."tenantId"`),
    authority: named(sql`authority`, sql`acme_key."authorityId"`),
  }),
  'createdAt',
)

/** The keys that were not removed, oldest first unless asked otherwise. Throws tenant-unknown,
 *  cursor-refused. */
export async function listAcmeKeys(
  ctx: Context,
  actor: Actor,
  { tenant, ...query }: AcmeKeyQuery & { readonly tenant: string },
): Promise<List<AcmeKey>> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const conditions = [
    sql`acme_key."tenantId" = ${id}::uuid`,
    sql`acme_key."revokedAt" is null`,
    ...when(query.name, (one) => sql`acme_key."name" = ${one}`),
  ]
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: page.items.map(acmeKeyView) }
}

/** One of them. Throws tenant-unknown, acme-key-unknown. */
export async function getAcmeKey(
  ctx: Context,
  actor: Actor,
  { tenant, id }: { tenant: string; id: string },
): Promise<AcmeKey> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const row = await inForceOf(ctx.db.read, { tenantId, id })
  return acmeKeyView(row)
}

/** Removes a key: it opens no account any more, and those that it opened are revoked. Their certificates stay
 *  good. Throws tenant-unknown, acme-key-unknown. */
export async function removeAcmeKey(
  ctx: Context,
  actor: Actor,
  { tenant, id }: { tenant: string; id: string },
): Promise<void> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission })
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const key = await inForceOf(tx, { tenantId, id })
    await tx.acmeKey.update({ where: { id }, data: { revokedAt: now } })
    await tx.acmeKeySecret.deleteMany({ where: { keyId: id } })
    await forgetAnswers(tx, [id])
    const accounts = await endAccounts(tx, { actor, now }, { tenantId, keyId: id })
    await record(tx, { actor, now }, 'acme-key.removed', {
      subject: subjectOf(key),
      changes: { accounts },
    })
  })
}

async function inForceOf(tx: Tx, { tenantId, id }: { tenantId: string; id: string }) {
  const row = await tx.acmeKey.findFirst({
    where: { id, tenantId, revokedAt: null },
    include: { tenant: { select: { name: true } }, authority: { select: { name: true } } },
  })
  if (row) return row
  throw new Problem('acme-key-unknown', `There is no ACME key ${id}`)
}

function subjectOf({ id, name, tenantId }: { id: string; name: string; tenantId: string }) {
  return { kind: 'acme-key', id, name, tenantId } as const
}

function acmeKeyView(row: {
  id: string
  name: string
  names: string[]
  profiles: string[]
  preauthorized: boolean
  createdAt: Date
  createdBy: string
  expiresAt: Date | null
  tenant: { name: string } | null
  authority: { name: string } | null
}): AcmeKey {
  return shown(AcmeKey, {
    id: row.id,
    tenant: row.tenant?.name ?? '',
    name: row.name,
    authority: row.authority?.name ?? null,
    names: row.names,
    profiles: row.profiles.length === 0 ? null : row.profiles,
    preauthorized: row.preauthorized,
    createdAt: timestamp(row.createdAt),
    createdBy: row.createdBy,
    expiresAt: timestampOrNull(row.expiresAt),
  })
}

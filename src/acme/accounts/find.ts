import type { Subject } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { byMade, listRows, when } from '../../core/database/lists.ts'
import { named, rowsOf } from '../../core/database/rows.ts'
import type { List } from '../../shared/lists/query.ts'
import { oneOf } from '../../shared/oneof.ts'
import { Problem } from '../../shared/problem.ts'
import { shown, timestamp } from '../../shared/view.ts'
import { accessTenant } from '../../tenants/access.ts'
import { AcmeAccount, type AcmeAccountQuery, AcmeAccountStatus } from '../keys/schema.ts'

/** What goes with an account. */
export const withNames = {
  key: {
    select: {
      ...{ id: true, name: true, names: true, profiles: true, preauthorized: true },
      tenant: { select: { id: true, name: true } },
    },
  },
  authority: { select: { id: true, name: true, removedAt: true } },
} as const

/** An account with its key, its tenant and its authority. */
export type AccountRow = NonNullable<Awaited<ReturnType<typeof readAccount>>>

function readAccount(tx: Tx, id: string) {
  return tx.acmeAccount.findUnique({ where: { id }, include: withNames })
}

/** The account of this id at the server of this authority, whatever its status. */
export async function findAccount(
  ctx: Context,
  { authority, id }: { readonly authority: string; readonly id: string },
): Promise<AccountRow | undefined> {
  const row = await readAccount(ctx.db.read, id)
  return row?.authority.name === authority && row.authority.removedAt === null ? row : undefined
}

/** The account that has this public key there. */
export async function findAccountOfKey(
  tx: Tx,
  { authorityId, thumbprint }: { readonly authorityId: string; readonly thumbprint: string },
): Promise<AccountRow | undefined> {
  const where = { authorityId_thumbprint: { authorityId, thumbprint } }
  return (await tx.acmeAccount.findUnique({ where, include: withNames })) ?? undefined
}

/** The account as who asks: it may what an operator of its tenant may, of which ACME asks for certificates alone. */
export function accountActor(account: AccountRow, requestId: string | null): Actor {
  return {
    kind: 'acme-account',
    id: account.id,
    name: `acme ${account.key.name}`,
    role: 'operator',
    tenantId: account.tenantId,
    requestId,
    scopes: ['certificates:write'],
  }
}

/** What the audit trail calls it. */
export function accountSubject(row: {
  readonly id: string
  readonly tenantId: string
  readonly key: { readonly name: string }
}): Subject {
  return { kind: 'acme-account', id: row.id, name: `acme ${row.key.name}`, tenantId: row.tenantId }
}

const listing = byMade(
  rowsOf('AcmeAccount', {
    tenant: named(sql`tenant`, sql`acme_account."tenantId"`),
    authority: named(sql`authority`, sql`acme_account."authorityId"`),
    key: named(sql`acme_key`, sql`acme_account."keyId"`),
  }),
  'createdAt',
)

/** The accounts of a tenant, oldest first unless asked otherwise. Throws tenant-unknown, cursor-refused. */
export async function listAcmeAccounts(
  ctx: Context,
  actor: Actor,
  { tenant, ...query }: AcmeAccountQuery & { readonly tenant: string },
): Promise<List<AcmeAccount>> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const conditions = [
    sql`acme_account."tenantId" = ${id}::uuid`,
    ...when(query.status, (one) => sql`acme_account."status" = ${one}`),
  ]
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: page.items.map(acmeAccountView) }
}

/** One of them. Throws tenant-unknown, acme-account-unknown. */
export async function getAcmeAccount(
  ctx: Context,
  actor: Actor,
  { tenant, id }: { tenant: string; id: string },
): Promise<AcmeAccount> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const row = await readAccount(ctx.db.read, id)
  if (row?.tenantId !== tenantId) throw accountUnknown(id)
  return acmeAccountView({ ...row, tenant: row.key.tenant })
}

/** That a tenant has no such account. */
export function accountUnknown(id: string): Problem {
  return new Problem('acme-account-unknown', `There is no ACME account ${id}`)
}

function acmeAccountView(row: {
  id: string
  keyId: string
  status: string
  contact: string[]
  thumbprint: string
  createdAt: Date
  tenant: { name: string } | null
  authority: { name: string } | null
  key: { name: string } | null
}): AcmeAccount {
  return shown(AcmeAccount, {
    id: row.id,
    tenant: row.tenant?.name ?? '',
    authority: row.authority?.name ?? '',
    key: row.key?.name ?? '',
    keyId: row.keyId,
    status: oneOf(AcmeAccountStatus.enum, row.status),
    contact: row.contact,
    thumbprint: row.thumbprint,
    createdAt: timestamp(row.createdAt),
  })
}

import { record } from '../audit/record.ts'
import type { Actor } from '../core/actor.ts'
import { type Context, inTransaction, newId } from '../core/context.ts'
import { isDuplicate, type Tx } from '../core/database/db.ts'
import { Problem } from '../shared/problem.ts'
import type { LeafProfile } from '../x509/certificates/purposes.ts'
import {
  type Authority,
  authoritySubject,
  type ImportedAuthority,
  type NewAuthority,
} from './authority.ts'
import { getAuthority } from './find.ts'
import { type Limits, type StoredAuthority, storeAuthority } from './issuers/store.ts'

/** An authority as it was requested, the CA certificate and the key that it begins with, and what is said
 *  of it. */
export type AddedAuthority = Pick<StoredAuthority, 'issuer' | 'key'> & {
  readonly request: NewAuthority | ImportedAuthority
  readonly kind: 'root' | 'intermediate'
  /** The authority that signed it. */
  readonly parentId: string | null
  /** What its leaves may be for, by its certificate and those above it. */
  readonly profiles: readonly LeafProfile[]
  readonly action: 'authority.created' | 'authority.imported'
  /** For the audit trail, besides what is said of every one. */
  readonly changes: Readonly<Record<string, string | null>>
  /** The end of the sentence for a name or a key that is taken. */
  readonly taken: string
}

/** Stores an authority with its certificate and key, in one transaction with the audit event. Throws
 *  authority-exists, tenant-unknown, authority-unknown. */
export async function addAuthority(
  ctx: Context,
  actor: Actor,
  added: AddedAuthority,
): Promise<Authority> {
  const { request, issuer, key, kind, parentId, profiles } = added
  const { name, displayName = null, outlive = 'truncate' } = request
  const { crlShards = 1, listOverflow = 'refuse', approval = 'one-person', tenant = null } = request
  const now = ctx.now()
  const id = newId(now)
  try {
    return await ctx.db.transaction(async (tx) => {
      const tenantId = await ownerIdOf(tx, tenant)
      const settings = {
        outlive,
        crlShards,
        listOverflow,
        approval,
        ...limitsOf(request, profiles),
      }
      const authority = { id, name, displayName, kind, tenantId, parentId, ...settings }
      await storeAuthority(ctx, tx, { authority, issuer, key })
      await record(tx, { actor, now }, added.action, {
        subject: authoritySubject({ id, name, tenantId }),
        changes: {
          ...added.changes,
          tenant,
          keyStore: key.store,
          serial: issuer.certificate.serial,
          notAfter: issuer.certificate.validity.notAfter.toISOString(),
        },
      })
      return getAuthority(inTransaction(ctx, tx), actor, name)
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem('authority-exists', `There is an authority "${name}", or one ${added.taken}`)
  }
}

/** As they are stored; `possible` are the profiles that its certificate and those above it allow. */
function limitsOf(
  { maxValidityDays, defaultValidityDays, profiles }: Limits,
  possible: readonly LeafProfile[],
) {
  return {
    maxValidityDays: maxValidityDays ?? null,
    defaultValidityDays: defaultValidityDays ?? null,
    profiles: [...(profiles ?? possible)],
  }
}

/** The id of the tenant that an authority is for. Throws tenant-unknown. */
export async function ownerIdOf(tx: Tx, name: string | null): Promise<string | null> {
  if (name === null) return null
  const tenant = await tx.tenant.findUnique({ where: { name }, select: { id: true } })
  if (!tenant) throw new Problem('tenant-unknown', `There is no tenant "${name}"`)
  return tenant.id
}

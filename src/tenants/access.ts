import { isDeepStrictEqual } from 'node:util'
import { Compile } from 'typebox/compile'
import Value from 'typebox/value'
import { type Actor, allow, type Permission } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { batchedReads } from '../core/database/batch.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { namedIfAny, readRows, rowsOf } from '../core/database/rows.ts'
import { oncePer } from '../core/onceper.ts'
import { Problem } from '../shared/problem.ts'
import { KeyAlgorithm, Profile } from '../shared/schema.ts'
import { shownJson } from '../shared/view.ts'
import { Policy, type RenewalWindows } from './tenant.ts'

/** A tenant as the rooms to the right need it. */
export type TenantRow = NonNullable<Awaited<ReturnType<typeof readTenant>>>

/** The tenant of this name, if the actor may do this to it. Another tenant's is tenant-unknown, as if
 *  it were not there; a role that is too small is forbidden. */
export async function accessTenant(
  ctx: Context,
  actor: Actor,
  request: TenantAccess,
): Promise<TenantRow> {
  return accessible(await findTenant(ctx)(request.name), actor, request)
}

/** What is to be done to the tenant of which name. */
export type TenantAccess = { readonly name: string; readonly permission: Permission }

/** The same of a row that has been read. */
export function accessible<T extends { readonly id: string }>(
  tenant: T | null,
  actor: Actor,
  { name, permission }: TenantAccess,
): T {
  if (!tenant || (actor.tenantId !== null && actor.tenantId !== tenant.id)) {
    throw new Problem('tenant-unknown', `There is no tenant "${name}"`)
  }
  allow(actor, permission)
  return tenant
}

const related = { defaultAuthority: { select: { name: true } } } as const

/** The tenant's row with the name of its default authority. */
export function readTenant(tx: Tx, name: string) {
  return tx.tenant.findUnique({ where: { name }, include: related })
}

/** The same of many tenants. */
export const tenantRows = rowsOf('Tenant', {
  defaultAuthority: namedIfAny(sql`authority`, sql`tenant."defaultAuthorityId"`),
})

const findTenant = oncePer((ctx) =>
  batchedReads(
    (names) => readRows(ctx.db, tenantRows, [sql`tenant."name" = any(${names})`]),
    ({ name }) => name,
  ),
)

const storedPolicy = Compile(Policy)

/** The policy as it is acted on. Of what another release stored, members that this one does not know are
 *  left out, and a list of which it knows no word allows nothing. Throws certificate-refused where a rule
 *  has another form than here: it would be read as no rule at all. */
export function policyOf({ policy }: { policy: unknown }): Policy {
  return storedPolicy.Check(policy) ? policy : knownPolicy(policy)
}

/** Its renewal windows: none where the policy cannot be read, for which what is due is refused all the same. */
export function windowsOf(tenant: { policy: unknown }): RenewalWindows | undefined {
  try {
    return policyOf(tenant).renewalWindows
  } catch (error) {
    if (error instanceof Problem) return undefined
    throw error
  }
}

function knownPolicy(stored: unknown): Policy {
  const known = Value.Clean(Policy, structuredClone(stored))
  const policy = shownJson(Policy, known)
  if (!isDeepStrictEqual(policy, known)) {
    throw new Problem(
      'certificate-refused',
      `Another release stored the tenant's policy, in a form that this one does not read: set it anew (PATCH)`,
    )
  }
  const { keyAlgorithms, profiles } = policy
  return {
    ...policy,
    ...(keyAlgorithms && {
      keyAlgorithms: keyAlgorithms.filter((each) => Value.Check(KeyAlgorithm, each)),
    }),
    ...(profiles && { profiles: profiles.filter((each) => Value.Check(Profile, each)) }),
  }
}

import { record, type Subject } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../core/actor.ts'
import { type Context, newId } from '../core/context.ts'
import { isDuplicate, isReferenced, json, sql, type Tx } from '../core/database/db.ts'
import { due } from '../core/database/due.ts'
import type { Precondition } from '../core/refusal.ts'
import { askedMarksOf } from '../shared/lists/labels.ts'
import { Problem, refuse, type Violation } from '../shared/problem.ts'
import { folded } from '../shared/spelling.ts'
import { rangeBytes } from '../x509/names/ip.ts'
import { accessTenant, readTenant, type TenantRow } from './access.ts'
import { forgetAnswers } from './apikeys/answers.ts'
import { heldAuthorities } from './authorities.ts'
import { settleDelegation, touchedBy } from './domains/delegation.ts'
import { domainFault } from './domains/ownership.ts'
import { wholeTenant } from './find.ts'
import type { ChangedTenant, NewTenant, Policy, TenantPatch } from './tenant.ts'

/** Creates a tenant, and answers what of others its domains take away. Throws tenant-exists, authority-unknown, request-invalid. */
export async function createTenant(
  ctx: Context,
  actor: Actor,
  request: NewTenant,
): Promise<ChangedTenant> {
  allowPlatform(actor, 'write-tenants')
  refuse('request-invalid', faults(request))
  const now = ctx.now()
  const marks = askedMarksOf(request)
  try {
    return await ctx.db.transaction(async (tx) => {
      const id = newId(now)
      const touched = await touchedBy(tx, request.domains, now)
      await tx.tenant.create({
        data: {
          id,
          name: request.name,
          ...nameOf(request.displayName ?? request.name),
          domains: request.domains,
          namespaces: request.namespaces ?? [],
          policy: json(request.policy ?? {}),
          quotas: json(request.quotas ?? {}),
          ...marks,
          labels: json(marks.labels),
          defaultAuthorityId: await authorityId(tx, request.defaultAuthority ?? null, id),
          createdAt: now,
          updatedAt: now,
        },
      })
      const tenant = await stored(tx, request.name)
      await record(tx, { actor, now }, 'tenant.created', {
        subject: subjectOf(tenant),
        changes: factsOf(tenant),
      })
      return { ...(await wholeTenant(tx, ctx, tenant)), ...(await settleDelegation(tx, touched)) }
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem('tenant-exists', `There is a tenant "${request.name}"; choose another name`)
  }
}

/** Changes what is named in `patch` and leaves the rest. Hosts and certificates that are out stay as
 *  they are when their domain is taken away or given to another: they are answered, are not renewed, and
 *  new ones are refused. Throws tenant-unknown,
 *  authority-unknown, request-invalid. */
export async function changeTenant(
  ctx: Context,
  actor: Actor,
  { name, patch }: { name: string; patch: TenantPatch },
  expected?: Precondition,
): Promise<ChangedTenant> {
  allowPlatform(actor, 'write-tenants')
  refuse('request-invalid', faults(patch))
  const { id } = await accessTenant(ctx, actor, { name, permission: 'write-tenants' })
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    await tx.$executeRaw(sql`select 1 from tenant where "id" = ${id}::uuid for update`)
    const before = await stored(tx, name)
    expected?.(await wholeTenant(tx, ctx, before))
    const { domains } = before
    const touched = await touchedBy(tx, difference(domains, patch.domains ?? domains), now)
    await tx.tenant.update({
      where: { id },
      data: {
        ...(patch.displayName === undefined ? {} : nameOf(patch.displayName)),
        ...(patch.domains === undefined ? {} : { domains: patch.domains }),
        ...(patch.namespaces === undefined ? {} : { namespaces: patch.namespaces }),
        ...(patch.policy === undefined ? {} : { policy: json(patch.policy) }),
        ...(patch.quotas === undefined ? {} : { quotas: json(patch.quotas) }),
        ...(patch.labels === undefined ? {} : { labels: json(patch.labels) }),
        ...(patch.owner === undefined ? {} : { owner: patch.owner }),
        ...(patch.contact === undefined ? {} : { contact: patch.contact }),
        ...(patch.defaultAuthority === undefined
          ? {}
          : { defaultAuthorityId: await authorityId(tx, patch.defaultAuthority, id) }),
        updatedAt: now,
      },
    })
    const tenant = await stored(tx, name)
    await record(tx, { actor, now }, 'tenant.changed', {
      subject: subjectOf(tenant),
      changes: factsOf(tenant),
    })
    // What it has may no longer be as it may be.
    if (patch.policy !== undefined || patch.domains !== undefined) {
      await due(tx, 'tenant.review', { tenantId: id })
    }
    return { ...(await wholeTenant(tx, ctx, tenant)), ...(await settleDelegation(tx, touched)) }
  })
}

/** The name that people see, and the form in which it is compared. */
function nameOf(displayName: string) {
  return { displayName, foldedName: folded(displayName) }
}

/** What is in one of the lists alone. */
function difference(before: readonly string[], after: readonly string[]): readonly string[] {
  const [old, next] = [new Set(before), new Set(after)]
  return [...new Set([...old, ...next])].filter((each) => old.has(each) !== next.has(each))
}

/** Removes a tenant that owns nothing any more; its API keys go with it. Throws tenant-unknown,
 *  tenant-in-use. */
export async function removeTenant(ctx: Context, actor: Actor, name: string): Promise<void> {
  allowPlatform(actor, 'write-tenants')
  const tenant = await accessTenant(ctx, actor, { name, permission: 'write-tenants' })
  const now = ctx.now()
  try {
    await ctx.db.transaction(async (tx) => {
      const keys = await tx.apiKey.findMany({
        where: { tenantId: tenant.id },
        select: { id: true },
      })
      await forgetAnswers(
        tx,
        keys.map(({ id }) => id),
      )
      await tx.tenant.delete({ where: { id: tenant.id } })
      await record(tx, { actor, now }, 'tenant.removed', {
        subject: subjectOf(tenant),
        changes: {},
      })
    })
  } catch (error) {
    if (!isReferenced(error)) throw error
    throw new Problem(
      'tenant-in-use',
      `Tenant "${name}" still has hosts, certificates or authorities: its record of certificates is kept, so only a tenant that never had one can be removed`,
    )
  }
}

async function stored(tx: Tx, name: string): Promise<TenantRow> {
  const tenant = await readTenant(tx, name)
  if (!tenant) throw new Problem('tenant-unknown', `There is no tenant "${name}"`)
  return tenant
}

async function authorityId(tx: Tx, name: string | null, tenantId: string): Promise<string | null> {
  if (name === null) return null
  const [authority] = await heldAuthorities(tx, [name])
  if (!authority || (authority.tenantId !== null && authority.tenantId !== tenantId)) {
    throw new Problem('authority-unknown', `defaultAuthority: there is no authority "${name}"`)
  }
  return authority.id
}

function faults(request: TenantPatch): readonly Violation[] {
  const policy = request.policy ?? {}
  const domains = (request.domains ?? []).flatMap((domain, index) => {
    const message = domainFault(domain)
    return message ? [{ field: `/domains/${index}`, message }] : []
  })
  const ranges = (request.policy?.ipRanges ?? []).flatMap((range, index) =>
    rangeBytes(range)
      ? []
      : [
          {
            field: `/policy/ipRanges/${index}`,
            message: `${range} is not a range such as 10.0.0.0/8`,
          },
        ],
  )
  return [...domains, ...ranges, ...renewalFaults(policy), ...windowFaults(policy)]
}

function windowFaults({ renewalWindows }: Policy): readonly Violation[] {
  if (renewalWindows === undefined || isTimeZone(renewalWindows.timeZone)) return []
  const message = `${renewalWindows.timeZone} is no time zone such as Europe/Berlin or UTC`
  return [{ field: '/policy/renewalWindows/timeZone', message }]
}

/** By name: offsets such as +02:00 know no summer time. */
function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

function renewalFaults({ renewBefore, maxValidityDays }: Policy): readonly Violation[] {
  const { days, percent } = renewBefore ?? {}
  const field = '/policy/renewBefore'
  if (days !== undefined && percent !== undefined) {
    return [{ field, message: 'Say days or percent, not both' }]
  }
  if (days === undefined || maxValidityDays === undefined || days < maxValidityDays) return []
  const message = `${days} days before the end is before the beginning: maxValidityDays is ${maxValidityDays}`
  return [{ field: `${field}/days`, message }]
}

function subjectOf({ id, name }: TenantRow): Subject {
  return { kind: 'tenant', id, name, tenantId: id }
}

function factsOf(tenant: TenantRow) {
  return {
    displayName: tenant.displayName,
    domains: tenant.domains,
    namespaces: tenant.namespaces,
    defaultAuthority: tenant.defaultAuthority?.name ?? null,
    policy: JSON.stringify(tenant.policy),
    quotas: JSON.stringify(tenant.quotas),
    labels: JSON.stringify(tenant.labels),
    owner: tenant.owner,
    contact: tenant.contact,
  }
}

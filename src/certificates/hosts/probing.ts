import { currentIssuer, issuingAuthority } from '../../authorities/issuers/current.ts'
import { readyIssuer } from '../../authorities/issuers/ready.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { makeKey } from '../../core/keys/make.ts'
import { oncePer } from '../../core/onceper.ts'
import { day } from '../../shared/moment.ts'
import { must } from '../../shared/must.ts'
import { Problem } from '../../shared/problem.ts'
import { readTenant, type TenantRow } from '../../tenants/access.ts'
import { toPem } from '../../x509/der/pem.ts'
import { noAltNames } from '../../x509/names/altnames.ts'
import { issue } from '../issuance/steps.ts'

/** Half an hour, in days. */
const lifetimeDays = 1 / 48
/** How long before its end it is not shown any more, in milliseconds. */
const margin = 5 * 60_000

const actor = systemActor('placement.prove')

/** A certificate with its key, PEM. */
export type Credential = { readonly cert: string; readonly key: string }

type Kept = { readonly made: Promise<Credential>; readonly until: number }

/** Those of a process, by tenant and issuer. */
const credentials = oncePer(() => new Map<string, Kept>())

/** A certificate as a client of the tenant gets it from the authority, to be shown to ingresses. It is
 *  recorded like any other, its cause being `probe`; its key is made here and never leaves the memory of
 *  this process. Within its half hour it is the same, however many hosts ask. Throws tenant-unknown,
 *  authority-unknown, authority-keyless, certificate-refused. */
export async function probeCredential(
  ctx: Context,
  asked: { readonly tenant: string; readonly authority: string },
): Promise<Credential> {
  const tenant = await readTenant(ctx.db.read, asked.tenant)
  if (!tenant) throw new Problem('tenant-unknown', `There is no tenant "${asked.tenant}"`)
  const authority = await issuingAuthority(ctx, { name: asked.authority, tenantId: tenant.id })
  const kept = credentials(ctx)
  const now = ctx.now().getTime()
  for (const [key, { until }] of kept) if (until <= now) kept.delete(key)
  const name = `${tenant.id}/${currentIssuer(authority).id}`
  const known = kept.get(name)
  if (known) return known.made
  const made = make(ctx, tenant, authority)
  kept.set(name, { made, until: now + lifetimeDays * day - margin })
  made.catch(() => kept.delete(name))
  return made
}

type IssuingAuthority = Awaited<ReturnType<typeof issuingAuthority>>

async function make(
  ctx: Context,
  tenant: TenantRow,
  authority: IssuingAuthority,
): Promise<Credential> {
  if (!authority.profiles.includes('client')) {
    throw new Problem('certificate-refused', `"${authority.name}" issues no client certificates`)
  }
  const { spki, pkcs8 } = await makeKey(ctx, 'ECDSA_P256', { tenantId: tenant.id })
  const commonName = 'gatesmith-probe'
  const { id, row } = await issue(ctx, actor, {
    tenant,
    authority,
    issuer: await readyIssuer(ctx, authority),
    request: {
      profile: 'client',
      subject: { commonName },
      commonName,
      names: noAltNames,
      keyAlgorithm: 'ECDSA_P256',
      validityDays: lifetimeDays,
      // As if somebody had sent it: so nothing stores the private key.
      spki,
    },
    cause: 'probe',
    autoRenew: false,
  })
  const der = row?.der ?? (await signed(ctx, id))
  return { cert: toPem('CERTIFICATE', Buffer.from(der)), key: toPem('PRIVATE KEY', pkcs8) }
}

async function signed(ctx: Context, id: string): Promise<Uint8Array> {
  const select = { der: true }
  const { der } = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id }, select })
  return must(der, 'it was signed by another')
}

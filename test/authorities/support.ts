import { createAuthority } from '../../src/authorities/create.ts'
import type { Certificate, NewCertificate } from '../../src/certificates/certificate.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../../src/certificates/revocation/revoke.ts'
import type { Context } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { createTenant } from '../../src/tenants/write.ts'
import type { RevocationReason } from '../../src/x509/crl/reasons.ts'
import { admin } from '../support/context.ts'

/** A root, an issuing authority below it (`crlShards` lists) and a tenant that uses it. */
export async function openTestAuthority(ctx: Context, crlShards = 1): Promise<void> {
  const subject = { commonName: 'revocation root' }
  await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject })
  await createAuthority(ctx, admin, {
    name: 'issuing',
    kind: 'intermediate',
    parent: 'root',
    subject: { commonName: 'revocation issuing' },
    crlShards,
  })
  await createTenant(ctx, admin, {
    name: 'example',
    domains: ['example.com'],
    defaultAuthority: 'issuing',
  })
}

/** A certificate of that tenant. */
export function issueOne(ctx: Context, asked: Partial<NewCertificate> = {}): Promise<Certificate> {
  return issueCertificate(ctx, admin, {
    tenant: 'example',
    request: { profile: 'server', dnsNames: ['a.example.com'], ...asked },
    idempotencyKey: undefined,
  })
}

/** Revokes a certificate of that tenant. */
export function revoke(
  ctx: Context,
  { id }: { id: string },
  reason: RevocationReason = 'unspecified',
): Promise<Certificate> {
  return revokeCertificate(ctx, admin, { tenant: 'example', id, reason })
}

/** The key that an authority issues by. */
export async function keyOf(ctx: Context, name: string): Promise<string> {
  const { keyId } = await ctx.db.read.issuer.findFirstOrThrow({
    where: { authority: { name }, issues: true },
  })
  return keyId
}

/** The keys of the jobs that are due, of one kind. */
export async function jobs(ctx: Context, kind: string): Promise<readonly string[]> {
  const rows = await ctx.db.read.$queryRaw<readonly { key: string }[]>(sql`
    select key from graphile_worker.jobs where task_identifier = ${kind} order by key`)
  return rows.map(({ key }) => key)
}

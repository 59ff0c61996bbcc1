import { sql, type Tx } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'

/** Why a key that is not the tenant's is refused: a CSR alone does not show who has the key, since
 *  anyone can send it again. Nothing is said of whose it is. */
export const takenKey = 'This key cannot be certified here: make a new one'

/** Why a public key that a tenant sent may not be certified, as far as that is known from what is
 *  stored: it is blocked, or it is another tenant's or an authority's (CA/B BR 6.1.1.3). Asked once more
 *  by the statement that stores the certificate (src/certificates/issuance/store.ts), so that two tenants at once
 *  do not both get it. */
export async function keyFault(
  tx: Tx,
  spki: Buffer,
  tenantId: string,
): Promise<string | undefined> {
  const spkiSha256 = fingerprintSha256(spki)
  const [found] = await tx.$queryRaw<readonly { blockedSince: Date | null; taken: boolean }[]>(sql`
    select (select "since" from blocked_key where "spkiSha256" = ${spkiSha256}) as "blockedSince",
      coalesce(
        (select "tenantId" is distinct from ${tenantId}::uuid from certified_key
          where "spkiSha256" = ${spkiSha256}),
        exists (select from certificate
          where "spkiSha256" = ${spkiSha256} and "tenantId" <> ${tenantId}::uuid)) as "taken"`)
  if (found?.taken) return takenKey
  const since = found?.blockedSince
  return since ? `The key is blocked since ${since.toISOString()}; make a new one` : undefined
}

/** Whether other tenants hold this key: it is theirs, or they have certificates in force for it. */
export async function heldByOthers(
  tx: Tx,
  { spkiSha256, tenantId, now }: KeyOfTenant & { readonly now: Date },
): Promise<boolean> {
  const [found] = await tx.$queryRaw<readonly { others: boolean }[]>(sql`
    select exists (select from certified_key
        where "spkiSha256" = ${spkiSha256} and "tenantId" <> ${tenantId}::uuid)
      or exists (select from certificate
        where "spkiSha256" = ${spkiSha256} and "tenantId" <> ${tenantId}::uuid
          and "notAfter" >= ${now} and "status" <> 'revoked') as "others"`)
  return found?.others ?? false
}

/** Takes a key that a tenant has shown to hold, in the transaction that stores its certificate. Answers whether it is
 *  the tenant's. */
export async function takeTenantKey(
  tx: Tx,
  { spkiSha256, tenantId }: KeyOfTenant,
): Promise<boolean> {
  await tx.certifiedKey.createMany({ data: [{ spkiSha256, tenantId }], skipDuplicates: true })
  const held = await tx.certifiedKey.findUniqueOrThrow({ where: { spkiSha256 } })
  return held.tenantId === tenantId
}

/** Nobody has this key any more, once no certificate of the tenant is left that has it. */
export async function leaveKey(tx: Tx, { spkiSha256, tenantId }: KeyOfTenant): Promise<void> {
  const where = { spkiSha256, tenantId }
  const left = await tx.certificate.findFirst({ where, select: { id: true } })
  if (!left) await tx.certifiedKey.deleteMany({ where })
}

type KeyOfTenant = { readonly spkiSha256: string; readonly tenantId: string }

/** The tenant does not want this key any more, and nobody gets it in its place. */
export async function giveAwayKey(tx: Tx, { spkiSha256, tenantId }: KeyOfTenant): Promise<void> {
  await tx.certifiedKey.updateMany({ where: { spkiSha256, tenantId }, data: { tenantId: null } })
}

/** Takes a key for an authority, in the transaction that stores it. Throws authority-refused when a
 *  certificate of a tenant has it. */
export async function takeKey(tx: Tx, spkiSha256: string): Promise<void> {
  await tx.certifiedKey.createMany({ data: [{ spkiSha256 }], skipDuplicates: true })
  const { tenantId } = await tx.certifiedKey.findUniqueOrThrow({ where: { spkiSha256 } })
  const leaf = await tx.certificate.findFirst({ where: { spkiSha256 }, select: { id: true } })
  if (tenantId === null && !leaf) return
  throw new Problem(
    'authority-refused',
    'A certificate of a tenant has this very key: an authority has one of its own',
  )
}

import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { bytes, sql, type Tx } from '../../core/database/db.ts'
import { oncePer } from '../../core/onceper.ts'
import { Problem } from '../../shared/problem.ts'
import { authorityUnknown } from '../authority.ts'

/** An authority with the certificate that signs for it now. */
export type IssuingAuthority = Awaited<ReturnType<typeof issuingAuthorities>>[number]

/** The authority of this name as `tenantId` may use it (null: the platform), with the issuer
 *  certificate that signs now. Throws authority-unknown, also for another tenant's. */
export async function issuingAuthority(ctx: Context, request: Use): Promise<IssuingAuthority> {
  return usableAuthority(await findIssuing(ctx)(request.name), request)
}

/** By whom the authority of which name is to be used. */
export type Use = { readonly name: string; readonly tenantId: string | null }

/** The same of a row that has been read. */
export function usableAuthority(
  authority: IssuingAuthority | null,
  { name, tenantId }: Use,
): IssuingAuthority {
  const foreign = authority && authority.tenantId !== null && authority.tenantId !== tenantId
  if (!authority || (foreign && tenantId !== null)) {
    throw authorityUnknown(name)
  }
  return authority
}

/** The authority of a name; requests of the same moment share one statement. */
export const findIssuing: (ctx: Context) => (name: string) => Promise<IssuingAuthority | null> =
  oncePer((ctx) =>
    batchedReads(
      (names) => issuingAuthorities(ctx.db.read, names),
      ({ name }) => name,
    ),
  )

/** The authorities of these names, in no order, each with the issuer certificate that signs now. */
export function issuingAuthorities(tx: Tx, names: readonly string[]) {
  return tx.authority.findMany({
    where: { name: { in: [...names] }, removedAt: null },
    include: issuing,
  })
}

/** What goes with an authority that is to sign. */
export const issuing = {
  parent: { select: { name: true, tenantId: true } },
  tenant: { select: { name: true } },
  issuers: { where: { issues: true }, include: { key: true } },
} as const

/** Why an authority that was retired signs nothing. */
export function retiredMessage(name: string): string {
  return `"${name}" is retired and signs nothing new; name another authority`
}

/** The certificate that signs now; every authority but a CA elsewhere has one. Throws authority-keyless of that. */
export function currentIssuer<T>(authority: { name: string; issuers: readonly T[] }): T {
  const [issuer] = authority.issuers
  if (issuer) return issuer
  throw new Problem(
    'authority-keyless',
    `"${authority.name}" is a CA elsewhere (acme): it has no certificate and no key here, and certifies hosts alone`,
  )
}

/** The certificates that a server sends after its leaf: the issuer's and those above it, in DER, up
 *  to the self-signed root and without it (RFC 8446 4.4.2: the root may be omitted). */
export async function chainOf(tx: Tx, issuerId: string): Promise<readonly Buffer[]> {
  const path = await pathOf(tx, issuerId)
  const root = path.at(-1)
  // After a root's change of key: who trusts only the one before verifies by this (RFC 4210 4.4).
  const crossed = await tx.issuer.findMany({
    where: { served: true, anchor: bytes(root?.anchor ?? Buffer.alloc(0)) },
    select: { der: true },
  })
  return [...withoutRoot(path).map(({ der }) => der), ...crossed.map(({ der }) => Buffer.from(der))]
}

/** A CA certificate and the self-signed form of it, in DER. */
export type PathCertificate = { readonly der: Buffer; readonly anchor: Buffer }

/** All of a path but the root at its end. Others may be their own anchor, too: an intermediate without its key has
 *  no self-signed form. */
export function withoutRoot(path: readonly PathCertificate[]): readonly PathCertificate[] {
  const last = path.at(-1)
  return last?.der.equals(last.anchor) ? path.slice(0, -1) : path
}

/** The issuer and all above it, root last. */
export async function pathOf(tx: Tx, issuerId: string): Promise<readonly PathCertificate[]> {
  return (await pathsOf(tx, [issuerId])).get(issuerId) ?? []
}

/** As pathOf, for many issuers by one statement. */
export async function pathsOf(
  tx: Tx,
  issuerIds: readonly string[],
): Promise<ReadonlyMap<string, readonly PathCertificate[]>> {
  const rows = await tx.$queryRaw<readonly { leaf: string; der: Uint8Array; anchor: Uint8Array }[]>(
    sql`
      with recursive path as (
        select "id" as leaf, 0 as depth, "parentId", "der", "anchor" from issuer
        where "id" = any(${[...issuerIds]}::uuid[])
        union all
        select path.leaf, path.depth + 1, issuer."parentId", issuer."der", issuer."anchor"
        from path join issuer on issuer."id" = path."parentId"
      )
      select leaf, "der", "anchor" from path order by leaf, depth`,
  )
  const certificates = rows.map(({ leaf, der, anchor }) => ({
    leaf,
    der: Buffer.from(der),
    anchor: Buffer.from(anchor),
  }))
  return Map.groupBy(certificates, ({ leaf }) => leaf)
}

/** What a verifier that should accept this authority's certificates, and no sibling's, is given as
 *  its trust: each issuer certificate of the authority in its self-signed form. Were the root given
 *  instead, every other authority below it would be accepted as well; the intermediate as it is does
 *  not do, since revocation lists are only checked up to a self-signed certificate. Throws
 *  authority-unknown. */
export async function trustAnchorOf(tx: Tx, name: string): Promise<readonly Buffer[]> {
  const issuers = await tx.issuer.findMany({
    where: { authority: { name, removedAt: null }, trusted: true },
    orderBy: { createdAt: 'asc' },
    select: { anchor: true },
  })
  if (issuers.length === 0) {
    throw authorityUnknown(name)
  }
  return issuers.map(({ anchor }) => Buffer.from(anchor))
}

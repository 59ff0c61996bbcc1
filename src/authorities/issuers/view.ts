import Type from 'typebox'
import { type Actor, allow } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { AuthorityKeyAlgorithm, closed, Id, Name, Timestamp } from '../../shared/schema.ts'
import { shown, timestamp, timestampOrNull } from '../../shared/view.ts'
import { readCertificate, signsLists } from '../../x509/certificates/read.ts'
import { toPem } from '../../x509/der/pem.ts'
import { Reason } from '../crl/revocation.ts'
import { issuingAuthority } from './current.ts'

export const IssuerView = closed(
  {
    id: Id,
    serial: Type.String({ description: 'Lower-case hexadecimal' }),
    keyAlgorithm: AuthorityKeyAlgorithm,
    spkiSha256: Type.String({ description: 'Of the key; one key may have several certificates' }),
    signedBy: Type.Union([Name, Type.Null()], {
      description: 'The authority that signed it; null: by itself, or elsewhere',
    }),
    notBefore: Timestamp,
    notAfter: Timestamp,
    fingerprintSha256: Type.String(),
    usages: Type.Array(Type.Enum(['issue', 'trust', 'serve', 'list'], { title: 'IssuerUsage' }), {
      description:
        'issue: signs new leaves; trust: its key is trusted for clients; serve: sent after chains of its key; list: its key signs revocation lists',
    }),
    revokedAt: Type.Union([Timestamp, Type.Null()]),
    revocationReason: Type.Union([Reason, Type.Null()]),
    pem: Type.String(),
  },
  { title: 'Issuer' },
)
export type IssuerView = Type.Static<typeof IssuerView>

/** What is read of an issuer row to show it. */
export const issuerShown = {
  key: { select: { algorithm: true, spkiSha256: true, store: true } },
  parent: { select: { authority: { select: { name: true, tenantId: true } } } },
} as const

type Row = {
  readonly id: string
  readonly serial: string
  readonly der: Uint8Array
  readonly fingerprintSha256: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly issues: boolean
  readonly trusted: boolean
  readonly served: boolean
  readonly revokedAt: Date | null
  readonly revocationReason: string | null
  readonly key: { readonly algorithm: string; readonly spkiSha256: string; readonly store: string }
  readonly parent: { readonly authority: Owned } | null
}

/** An authority and whose it is; null: everybody's. */
type Owned = { readonly name: string; readonly tenantId: string | null }

/** Whether an actor may know of an authority: a tenant's key of the shared ones and its own. */
export function mayKnow(
  actor: Pick<Actor, 'tenantId'>,
  { tenantId }: Pick<Owned, 'tenantId'>,
): boolean {
  return actor.tenantId === null || tenantId === null || tenantId === actor.tenantId
}

/** A CA certificate as it is shown to an actor: who signed it is null if that is not theirs to know. */
export function issuerView(
  { key, parent, ...row }: Row,
  actor: Pick<Actor, 'tenantId'>,
): IssuerView {
  const usages: readonly (readonly [boolean, string])[] = [
    [row.issues, 'issue'],
    [row.trusted, 'trust'],
    [row.served, 'serve'],
    [key.store !== 'absent' && signsLists(readCertificate(Buffer.from(row.der))), 'list'],
  ]
  return shown(IssuerView, {
    id: row.id,
    serial: row.serial,
    keyAlgorithm: key.algorithm,
    spkiSha256: key.spkiSha256,
    signedBy: parent && mayKnow(actor, parent.authority) ? parent.authority.name : null,
    notBefore: timestamp(row.notBefore),
    notAfter: timestamp(row.notAfter),
    fingerprintSha256: row.fingerprintSha256,
    revokedAt: timestampOrNull(row.revokedAt),
    revocationReason: row.revocationReason,
    usages: usages.flatMap(([used, usage]) => (used ? [usage] : [])),
    pem: toPem('CERTIFICATE', Buffer.from(row.der)),
  })
}

/** Every certificate of an authority's keys, oldest first. Throws authority-unknown. */
export async function listIssuers(
  ctx: Context,
  actor: Actor,
  name: string,
): Promise<{ readonly items: IssuerView[] }> {
  allow(actor, 'read')
  const { id } = await issuingAuthority(ctx, { name, tenantId: actor.tenantId })
  const rows = await ctx.db.read.issuer.findMany({
    where: { authorityId: id },
    include: issuerShown,
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
  })
  return { items: rows.map((row) => issuerView(row, actor)) }
}

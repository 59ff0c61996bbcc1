import { type Context, newId } from '../../core/context.ts'
import { bytes, json, sql, type Tx } from '../../core/database/db.ts'
import { Problem, type Violation } from '../../shared/problem.ts'
import type { LeafProfile } from '../../x509/certificates/purposes.ts'
import { fingerprintSha256, type ParsedCertificate } from '../../x509/certificates/read.ts'
import { takeKey } from '../keys/holders.ts'
import { type HeldKey, storeKey } from '../keys/signer.ts'
import { namesAbove } from '../trust/clients.ts'
import { dueAll, trustingPlacements } from '../trust/placements.ts'

/** What makes an authority: its row, its issuer certificate, and its key if that is held here. */
export type StoredAuthority = {
  readonly authority: {
    readonly id: string
    readonly name: string
    readonly displayName: string | null
    readonly kind: string
    readonly tenantId: string | null
    readonly parentId: string | null
    readonly outlive: string
    readonly crlShards: number
    readonly listOverflow: string
    readonly approval: string
    readonly maxValidityDays: number | null
    readonly defaultValidityDays: number | null
    readonly profiles: string[]
  }
  readonly issuer: {
    readonly der: Buffer
    readonly anchor: Buffer
    readonly parentId: string | null
    readonly certificate: ParsedCertificate
  }
  readonly key: HeldKey
}

/** What limits an authority's leaves, as it was requested. */
export type Limits = {
  readonly maxValidityDays?: number | null
  readonly defaultValidityDays?: number | null
  readonly profiles?: readonly string[]
}

/** Why no leaf of some profile would be taken for what it is for. */
export function profileFaults(
  { profiles }: Limits,
  possible: readonly LeafProfile[],
): readonly Violation[] {
  if (possible.length === 0) {
    const message =
      'Its extendedKeyUsage, or that of one above it, allows neither serverAuth nor clientAuth by name; not every verifier takes anyExtendedKeyUsage for them'
    return [{ field: '', message }]
  }
  const allowed: readonly string[] = possible
  const wrong = (profiles ?? []).filter((profile) => !allowed.includes(profile))
  if (wrong.length === 0) return []
  const message = `The extendedKeyUsage of its certificate, or of one above it, allows ${possible.join(', ')}, not ${wrong.join(', ')}`
  return [{ field: '/profiles', message }]
}

/** Names that stand where an authority's would: POST /v1/authorities/import. */
const reserved: ReadonlySet<string> = new Set(['import'])

/** Why an authority may not have this name. */
export function reservedNameFaults(name: string): readonly Violation[] {
  const message = `"${name}" has a meaning of its own in URLs: choose another name`
  return reserved.has(name) ? [{ field: '/name', message }] : []
}

/** Why limits contradict each other. */
export function validityLimitFaults({
  maxValidityDays,
  defaultValidityDays,
}: Limits): readonly Violation[] {
  if (maxValidityDays == null || (defaultValidityDays ?? 0) <= maxValidityDays) return []
  return [
    {
      field: '/defaultValidityDays',
      message: `defaultValidityDays ${defaultValidityDays} is more than maxValidityDays ${maxValidityDays}`,
    },
  ]
}

/** Stores an authority with key and issuer certificate, the key sealed. Hosts that let in clients of one
 *  above it are looked at again: now others may be issued what leads there. */
export async function storeAuthority(
  ctx: Context,
  tx: Tx,
  { authority, issuer, key }: StoredAuthority,
): Promise<void> {
  await hold(tx, { parentId: issuer.parentId })
  await tx.authority.create({ data: { ...authority, createdAt: ctx.now() } })
  const keyId = await storeKeyOf(ctx, tx, { certificate: issuer.certificate, key })
  await storeIssuer(ctx, tx, { ...issuer, authorityId: authority.id, keyId, issues: true })
  await dueAbove(tx, authority.id)
}

/** Makes the hosts due that let in clients of an authority above this one: others lead there now. */
export async function dueAbove(tx: Tx, authorityId: string): Promise<void> {
  for (const name of await namesAbove(tx, authorityId)) {
    await dueAll(tx, await trustingPlacements(tx, name))
  }
}

/** Stores the key that a CA certificate is about; answers its id. Throws authority-refused when a leaf
 *  has that key. */
export async function storeKeyOf(
  ctx: Context,
  tx: Tx,
  { certificate, key }: { certificate: ParsedCertificate; key: HeldKey },
): Promise<string> {
  const now = ctx.now()
  const { keyAlgorithm, spki } = certificate
  if (keyAlgorithm === undefined) throw new Error('the CA key is of a kind we do not certify')
  const keyId = newId(now)
  const spkiSha256 = fingerprintSha256(spki)
  await tx.authorityKey.create({
    data: {
      id: keyId,
      algorithm: keyAlgorithm,
      spki: bytes(spki),
      spkiSha256,
      store: key.store,
      uri: key.store === 'pkcs11' ? key.uri : null,
      createdAt: now,
    },
  })
  await takeKey(tx, spkiSha256)
  if (key.store === 'sealed') await storeKey(ctx, tx, { keyId, privateKey: key.privateKey })
  return keyId
}

/** A CA certificate of a key that is stored, and what it is used for. */
export type StoredIssuer = StoredAuthority['issuer'] & {
  readonly authorityId: string
  readonly keyId: string
  readonly issues: boolean
  readonly trusted?: boolean
  readonly served?: boolean
}

/** Stores a CA certificate; answers its id. Throws authority-unknown when its authority, or the one that
 *  signed it, was removed meanwhile. */
export async function storeIssuer(
  ctx: Context,
  tx: Tx,
  { certificate, der, anchor, ...row }: StoredIssuer,
): Promise<string> {
  const now = ctx.now()
  const { others, ...subject } = certificate.subject
  await hold(tx, row)
  const id = newId(now)
  await tx.issuer.create({
    data: {
      ...row,
      id,
      serial: certificate.serial,
      subject: json(subject),
      der: bytes(der),
      anchor: bytes(anchor),
      fingerprintSha256: fingerprintSha256(der),
      notBefore: certificate.validity.notBefore,
      notAfter: certificate.validity.notAfter,
      createdAt: now,
    },
  })
  return id
}

/** Whoever removes an authority waits until the transaction ends (../lock.ts). */
async function hold(
  tx: Tx,
  { authorityId, parentId }: { authorityId?: string; parentId: string | null },
): Promise<void> {
  const parent = sql`select "authorityId" from issuer where "id" = ${parentId}::uuid`
  const held = await tx.$queryRaw<readonly { id: string }[]>(sql`
    select "id"::text from authority where "removedAt" is null
      and ("id" = ${authorityId ?? null}::uuid or "id" = (${parent}))
    order by "id" for key share`)
  const above = await tx.$queryRaw<readonly { authorityId: string }[]>(parent)
  const ids = [authorityId, parentId === null ? undefined : (above[0]?.authorityId ?? '')]
  if (ids.every((id) => id === undefined || held.some((one) => one.id === id))) return
  throw new Problem('authority-unknown', 'The authority, or the one above it, was just removed')
}

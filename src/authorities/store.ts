import { type Context, newId } from '../ground/context.ts'
import { bytes, json, type Tx } from '../ground/db.ts'
import { Problem, type Violation } from '../words/problem.ts'
import { type Certificate, fingerprintSha256 } from '../x509/certificate.ts'
import { type HeldKey, storeKey } from './signer.ts'

/** What makes an authority: its row, its issuer certificate, and its key if that is held here. */
export type StoredAuthority = {
  readonly authority: {
    readonly id: string
    readonly name: string
    readonly kind: string
    readonly tenantId: string | null
    readonly parentId: string | null
    readonly outlive: string
    readonly crlShards: number
    readonly maxValidityDays: number | null
    readonly defaultValidityDays: number | null
    readonly profiles: string[]
  }
  readonly issuer: {
    readonly der: Buffer
    readonly anchor: Buffer
    readonly parentId: string | null
    readonly certificate: Certificate
  }
  readonly key: HeldKey
}

type Limits = {
  readonly maxValidityDays?: number
  readonly defaultValidityDays?: number
  readonly profiles?: readonly string[]
}

/** An authority's limits on its leaves as they are stored. */
export function limitsOf({ maxValidityDays, defaultValidityDays, profiles }: Limits) {
  return {
    maxValidityDays: maxValidityDays ?? null,
    defaultValidityDays: defaultValidityDays ?? null,
    profiles: [...(profiles ?? ['server', 'client', 'peer'])],
  }
}

/** Why limits contradict each other. */
export function limitFaults({
  maxValidityDays,
  defaultValidityDays,
}: Limits): readonly Violation[] {
  if (maxValidityDays === undefined || (defaultValidityDays ?? 0) <= maxValidityDays) return []
  return [
    {
      field: '/defaultValidityDays',
      message: `defaultValidityDays ${defaultValidityDays} is more than maxValidityDays ${maxValidityDays}`,
    },
  ]
}

/** Stores an authority with key and issuer certificate, the key sealed. */
export async function storeAuthority(
  ctx: Context,
  tx: Tx,
  { authority, issuer, key }: StoredAuthority,
): Promise<void> {
  const now = ctx.now()
  const { certificate } = issuer
  const { keyAlgorithm } = certificate
  if (keyAlgorithm === undefined) throw new Error('the CA key is of a kind we do not certify')
  const keyId = newId(now)
  await tx.authority.create({ data: { ...authority, createdAt: now } })
  await tx.authorityKey.create({
    data: {
      id: keyId,
      algorithm: keyAlgorithm,
      spki: bytes(certificate.spki),
      spkiSha256: fingerprintSha256(certificate.spki),
      store: key.store,
      uri: key.store === 'pkcs11' ? key.uri : null,
      createdAt: now,
    },
  })
  if (key.store === 'sealed') await storeKey(ctx, tx, { keyId, privateKey: key.privateKey })
  const { others, ...subject } = certificate.subject
  await tx.issuer.create({
    data: {
      id: newId(now),
      authorityId: authority.id,
      keyId,
      parentId: issuer.parentId,
      serial: certificate.serial,
      subject: json(subject),
      der: bytes(issuer.der),
      anchor: bytes(issuer.anchor),
      fingerprintSha256: fingerprintSha256(issuer.der),
      notBefore: certificate.validity.notBefore,
      notAfter: certificate.validity.notAfter,
      issues: true,
      createdAt: now,
    },
  })
}

/** The id of the tenant that an authority is for. Throws tenant-unknown. */
export async function tenantIdOf(tx: Tx, name: string | null): Promise<string | null> {
  if (name === null) return null
  const tenant = await tx.tenant.findUnique({ where: { name }, select: { id: true } })
  if (!tenant) throw new Problem('tenant-unknown', `There is no tenant "${name}"`)
  return tenant.id
}

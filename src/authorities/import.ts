import { createPrivateKey, type KeyObject } from 'node:crypto'
import { type Actor, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { orRefuse } from '../core/refusal.ts'
import { Problem, refuse, type Violation } from '../shared/problem.ts'
import { roomUnder, verifyIssued } from '../x509/certificates/chain.ts'
import { profilesUnder } from '../x509/certificates/purposes.ts'
import { isSignedBy, type ParsedCertificate, readCertificate } from '../x509/certificates/read.ts'
import { readPem } from '../x509/der/pem.ts'
import { spkiOf } from '../x509/keys/public.ts'
import { keySigner, type Signer } from '../x509/keys/sign.ts'
import { sameName } from '../x509/names/distinguished.ts'
import { addAuthority } from './add.ts'
import type { Authority, ImportedAuthority } from './authority.ts'
import { certificateFaults, isRoot, placeFaults } from './issuers/acceptable.ts'
import { sameKeyAs, signSelfSigned } from './issuers/cacertificate.ts'
import { anchorConstraints, constraintsAlong, importedFaults } from './issuers/constraints.ts'
import { pathOf } from './issuers/current.ts'
import { profileFaults, reservedNameFaults, validityLimitFaults } from './issuers/store.ts'
import { blockedFault } from './keys/blocked.ts'
import { type HeldKey, keyFor } from './keys/signer.ts'

/** Takes over a CA made elsewhere, such as the runbook's openssl root: its certificate and, if it is
 *  to sign here, its private key. An intermediate needs its issuer to be known first. Throws
 *  authority-exists, authority-refused, tenant-unknown. */
export async function importAuthority(
  ctx: Context,
  actor: Actor,
  request: ImportedAuthority,
): Promise<Authority> {
  allowPlatform(actor, 'write-authorities')
  const certificate = readOne(request.certificate)
  const key = await keyOf(ctx, request)
  refuse('authority-refused', [
    ...certificateFaults(certificate, ctx.now()),
    ...(await keyFaultsOf(ctx, { certificate, key, request })),
    ...validityLimitFaults(request),
    ...reservedNameFaults(request.name),
  ])
  const root = isRoot(certificate)
  const parent = root ? null : await findParent(ctx, certificate)
  const path = parent ? await certificatesAbove(ctx, parent.id) : []
  const profiles = profilesUnder([certificate, ...path])
  refuse('authority-refused', [
    ...placeFaults(certificate, path),
    ...importedFaults(certificate, constraintsAlong(path)),
    ...profileFaults(request, profiles),
  ])
  const anchor =
    root || !key
      ? certificate.der
      : await signAnchor(ctx, { certificate, signer: key.signer, path })
  return addAuthority(ctx, actor, {
    request,
    issuer: { der: certificate.der, anchor, parentId: parent?.id ?? null, certificate },
    key: key?.held ?? { store: 'absent' },
    kind: root ? 'root' : 'intermediate',
    parentId: parent?.authorityId ?? null,
    profiles,
    action: 'authority.imported',
    changes: {},
    taken: 'with this very key; it need not be imported twice',
  })
}

async function keyFaultsOf(
  ctx: Context,
  given: {
    readonly certificate: ParsedCertificate
    readonly key: ImportedKey | undefined
    readonly request: ImportedAuthority
  },
): Promise<readonly Violation[]> {
  const { certificate, key, request } = given
  const blocked = await blockedFault(ctx.db.read, certificate.spki)
  const field = request.key ? '/key' : '/privateKey'
  return [
    ...(blocked === undefined ? [] : [{ field: '/certificate', message: blocked }]),
    ...(key && !key.spki.equals(certificate.spki)
      ? [{ field, message: 'It is not the key of the certificate' }]
      : []),
  ]
}

function readOne(pem: string): ParsedCertificate {
  return orRefuse('authority-refused', '/certificate', () => {
    const [der, ...more] = readPem(pem, 'CERTIFICATE')
    if (!der || more.length > 0) {
      throw new Problem(
        'authority-refused',
        'certificate: send one certificate; import its issuer as an authority of its own, first',
      )
    }
    return readCertificate(der)
  })
}

type ImportedKey = {
  readonly spki: Buffer
  readonly signer: Signer
  readonly held: HeldKey
}

/** The key that came with the certificate, or that is in the token already; undefined: it is not held
 *  here. */
async function keyOf(
  ctx: Context,
  { privateKey: pem, key }: ImportedAuthority,
): Promise<ImportedKey | undefined> {
  if (key && pem !== undefined) {
    throw new Problem('authority-refused', 'Send privateKey or key, not both')
  }
  if (key) {
    if ('uri' in key.pkcs11) return keyFor(ctx, { key })
    throw new Problem('authority-refused', 'key: name by its uri a key that is in the token')
  }
  if (pem === undefined) return undefined
  const privateKey = readKey(pem)
  const signer = orRefuse('authority-refused', '/privateKey', () => keySigner(privateKey))
  return { spki: spkiOf(privateKey), signer, held: { store: 'sealed', privateKey } }
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    // The cause might quote the key.
    throw new Problem(
      'authority-refused',
      'privateKey: send an unencrypted PEM private key (openssl pkey -in ca.key)',
    )
  }
}

/** The issuer certificate here that signed it, of several one that fits in all else too. */
async function findParent(ctx: Context, certificate: ParsedCertificate) {
  const issuers = await ctx.db.read.issuer.findMany({
    where: {
      notAfter: { gte: certificate.validity.notBefore },
      authority: { removedAt: null },
    },
    select: { id: true, authorityId: true, der: true },
  })
  const signers = issuers
    .map((issuer) => ({ ...issuer, read: readCertificate(Buffer.from(issuer.der)) }))
    .filter(
      ({ read }) =>
        sameName(read.subjectDer, certificate.issuerDer) && isSignedBy(certificate, read.spki),
    )
    .map((issuer) => ({ ...issuer, faults: verifyIssued(certificate, issuer.read) }))
  const parent = signers.find(({ faults }) => faults.length === 0)
  if (parent) return parent
  const [first] = signers
  refuse(
    'authority-refused',
    (first?.faults ?? []).map((message) => ({ field: '/certificate', message })),
  )
  throw new Problem(
    'authority-refused',
    'No authority here issued this certificate: import its issuer first (its certificate alone is enough)',
  )
}

async function certificatesAbove(
  ctx: Context,
  parentId: string,
): Promise<readonly ParsedCertificate[]> {
  return (await pathOf(ctx.db.read, parentId)).map(({ der }) => readCertificate(der))
}

type Anchored = {
  readonly certificate: ParsedCertificate
  readonly signer: Signer
  readonly path: readonly ParsedCertificate[]
}

/** Signs the self-signed form of an intermediate (Issuer.anchor), with the constraints of its whole path
 *  and with the key identifier by which its certificates name it. */
function signAnchor(ctx: Context, { certificate, signer, path }: Anchored): Promise<Buffer> {
  return signSelfSigned(ctx, {
    ...sameKeyAs(certificate),
    signer,
    validity: certificate.validity,
    pathLength: roomUnder(certificate, path),
    nameConstraints: anchorConstraints(certificate, constraintsAlong(path)),
  })
}

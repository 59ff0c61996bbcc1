import { createPrivateKey, type KeyObject } from 'node:crypto'
import { record } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../ground/actor.ts'
import { type Context, newId } from '../ground/context.ts'
import { isDuplicate } from '../ground/db.ts'
import { orRefuse } from '../ground/refusal.ts'
import { Problem, refuse, type Violation } from '../words/problem.ts'
import { type Certificate, readCertificate } from '../x509/certificate.ts'
import { verifyIssued } from '../x509/chain.ts'
import { told } from '../x509/faults.ts'
import { spkiOf, weakKeyFault } from '../x509/keys.ts'
import { readPem } from '../x509/pem.ts'
import { keySigner, type Signer } from '../x509/sign.ts'
import type { NameConstraints } from '../x509/subtrees.ts'
import type { Authority, ImportedAuthority } from './authority.ts'
import { blockedFault } from './blockedkeys.ts'
import { anchorConstraints, constraintsAlong, importedFaults } from './constraints.ts'
import { selfSigned } from './create.ts'
import { getAuthority } from './find.ts'
import { pathOf } from './issuer.ts'
import { type HeldKey, keyFor } from './signer.ts'
import { limitFaults, limitsOf, storeAuthority, tenantIdOf } from './store.ts'

/** Takes over a CA made elsewhere, such as the runbook's openssl root: its certificate and, if it is
 *  to sign here, its private key. An intermediate needs its issuer to be known first. Throws
 *  authority-exists, authority-refused, tenant-unknown. */
export async function importAuthority(
  ctx: Context,
  actor: Actor,
  asked: ImportedAuthority,
): Promise<Authority> {
  allowPlatform(actor, 'write-authorities')
  const now = ctx.now()
  const certificate = readOne(asked.certificate)
  const key = await keyOf(ctx, asked)
  const blocked = await blockedFault(ctx.db.read, certificate.spki)
  refuse('authority-refused', [
    ...certificateFaults(certificate, now),
    ...(blocked === undefined ? [] : [{ field: '/certificate', message: blocked }]),
    ...(key && !key.spki.equals(certificate.spki)
      ? [
          {
            field: asked.key ? '/key' : '/privateKey',
            message: 'It is not the key of the certificate',
          },
        ]
      : []),
    ...limitFaults(asked),
  ])
  const root = certificate.issuerDer.equals(certificate.subjectDer)
  const parent = root ? null : await findParent(ctx, certificate)
  const above = constraintsAlong(parent ? await certificatesAbove(ctx, parent.id) : [])
  refuse('authority-refused', importedFaults(certificate, above))
  const anchor =
    root || !key ? certificate.der : await twin(ctx, { certificate, signer: key.signer, above })
  const id = newId(now)
  try {
    await ctx.db.transaction(async (tx) => {
      await storeAuthority(ctx, tx, {
        authority: {
          id,
          name: asked.name,
          kind: root ? 'root' : 'intermediate',
          tenantId: await tenantIdOf(tx, asked.tenant ?? null),
          parentId: parent?.authorityId ?? null,
          outlive: asked.outlive ?? 'truncate',
          crlShards: asked.crlShards ?? 1,
          ...limitsOf(asked),
        },
        issuer: { der: certificate.der, anchor, parentId: parent?.id ?? null, certificate },
        key: key?.held ?? { store: 'absent' },
      })
      await record(tx, { actor, now }, 'authority.imported', {
        subject: { kind: 'authority', id, name: asked.name, tenantId: null },
        changes: {
          serial: certificate.serial,
          keyStore: key?.held.store ?? 'absent',
          tenant: asked.tenant ?? null,
          notAfter: certificate.validity.notAfter.toISOString(),
        },
      })
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem(
      'authority-exists',
      `There is an authority "${asked.name}", or one with this very key; it need not be imported twice`,
    )
  }
  return getAuthority(ctx, actor, asked.name)
}

function readOne(pem: string): Certificate {
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

function certificateFaults(certificate: Certificate, now: Date): readonly Violation[] {
  const { ca, keyUsage, validity, subjectDer, issuerDer, keyAlgorithm, spki } = certificate
  const weak = weakKeyFault(spki)
  const self = issuerDer.equals(subjectDer) ? verifyIssued(certificate, certificate) : []
  const faults = told([
    [!ca, 'It is not a CA certificate: basicConstraints CA:TRUE is missing'],
    [
      keyUsage.length > 0 && !keyUsage.includes('keyCertSign'),
      'Its keyUsage does not allow keyCertSign',
    ],
    [validity.notAfter <= now, `It expired at ${validity.notAfter.toISOString()}`],
    [validity.notBefore > now, `It is not valid before ${validity.notBefore.toISOString()}`],
    [keyAlgorithm === undefined, 'Its key is of a kind that is not used here'],
  ])
  return [...faults, ...(weak === undefined ? [] : [weak]), ...self].map((message) => ({
    field: '/certificate',
    message,
  }))
}

async function findParent(ctx: Context, certificate: Certificate) {
  const issuers = await ctx.db.read.issuer.findMany({
    where: { notAfter: { gte: certificate.validity.notBefore } },
    select: { id: true, authorityId: true, der: true },
  })
  const parent = issuers.find(
    ({ der }) => verifyIssued(certificate, readCertificate(Buffer.from(der))).length === 0,
  )
  if (!parent) {
    throw new Problem(
      'authority-refused',
      'No authority here issued this certificate: import its issuer first (its certificate alone is enough)',
    )
  }
  return parent
}

async function certificatesAbove(ctx: Context, parentId: string): Promise<readonly Certificate[]> {
  return (await pathOf(ctx.db.read, parentId)).map(({ der }) => readCertificate(der))
}

type Twin = {
  readonly certificate: Certificate
  readonly signer: Signer
  readonly above: NameConstraints
}

/** The self-signed form of an intermediate, see Issuer.anchor: held to all that its path is. */
function twin(ctx: Context, { certificate, signer, above }: Twin): Promise<Buffer> {
  const { spki, subjectDer, validity, pathLength } = certificate
  return selfSigned(ctx, {
    signer,
    spki,
    subject: subjectDer,
    validity,
    pathLength,
    nameConstraints: anchorConstraints(certificate, above),
  })
}

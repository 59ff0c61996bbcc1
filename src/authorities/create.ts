import { record } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../ground/actor.ts'
import { type Context, newId } from '../ground/context.ts'
import { isDuplicate } from '../ground/db.ts'
import { orRefuse } from '../ground/refusal.ts'
import { Problem, refuse, type Violation } from '../words/problem.ts'
import { noAltNames } from '../x509/altnames.ts'
import { readCertificate } from '../x509/certificate.ts'
import { generateKey, keyIdentifier, spkiOf } from '../x509/keys.ts'
import { type DistinguishedName, encodeName } from '../x509/names.ts'
import { serialFrom } from '../x509/serial.ts'
import { assemble, keySigner, type Signer } from '../x509/sign.ts'
import { type Template, toBeSigned, type Validity } from '../x509/template.ts'
import type { Authority, NewAuthority } from './authority.ts'
import { getAuthority } from './find.ts'
import { currentIssuer, issuingAuthority } from './issuer.ts'
import { openSigner } from './signer.ts'
import { storeAuthority, tenantIdOf } from './store.ts'

const day = 86_400_000

/** Verifiers' clocks differ: what is issued now is valid a minute ago. */
export const backdate = 60_000

/** Creates a root, or an intermediate under a parent whose key is held here. The certificate leaves
 *  the process only after it is stored. Throws authority-exists, authority-unknown,
 *  authority-refused, authority-keyless, tenant-unknown. */
export async function createAuthority(
  ctx: Context,
  actor: Actor,
  asked: NewAuthority,
): Promise<Authority> {
  allowPlatform(actor, 'write-authorities')
  refuse('authority-refused', faults(asked))
  const now = ctx.now()
  const algorithm = asked.keyAlgorithm ?? 'ECDSA_P256'
  const subject = orRefuse('authority-refused', '/subject', () => encodeName(asked.subject))
  const parent = asked.parent === undefined ? null : await openParent(ctx, asked.parent)
  const validity = validityOf(asked, now, parent?.validity)
  const { privateKey, publicKey } = await generateKey(algorithm)
  const spki = spkiOf(publicKey)
  const own = { signer: keySigner(privateKey), spki, subject, validity }
  const anchor = await selfSigned(ctx, own)
  const der = parent ? await signedBy(ctx, parent, own) : anchor
  const authorityId = newId(now)
  try {
    await ctx.db.transaction(async (tx) => {
      await storeAuthority(ctx, tx, {
        authority: {
          id: authorityId,
          name: asked.name,
          kind: asked.kind,
          tenantId: await tenantIdOf(tx, asked.tenant ?? null),
          parentId: parent?.authorityId ?? null,
          outlive: asked.outlive ?? 'truncate',
        },
        issuer: {
          der,
          anchor,
          parentId: parent?.issuerId ?? null,
          certificate: readCertificate(der),
        },
        privateKey,
      })
      await record(tx, { actor, now }, 'authority.created', {
        subject: { kind: 'authority', id: authorityId, name: asked.name, tenantId: null },
        changes: {
          kind: asked.kind,
          parent: asked.parent ?? null,
          tenant: asked.tenant ?? null,
          keyAlgorithm: algorithm,
          serial: readCertificate(der).serial,
          notAfter: validity.notAfter.toISOString(),
        },
      })
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem(
      'authority-exists',
      `There is an authority "${asked.name}"; choose another name`,
    )
  }
  return getAuthority(ctx, actor, asked.name)
}

function faults(asked: NewAuthority): readonly Violation[] {
  const named: DistinguishedName = asked.subject
  return [
    ...(asked.kind === 'intermediate' && asked.parent === undefined
      ? [{ field: '/parent', message: 'An intermediate needs a parent' }]
      : []),
    ...(asked.kind === 'root' && asked.parent !== undefined
      ? [{ field: '/parent', message: 'A root has no parent' }]
      : []),
    ...(named.commonName === undefined && named.organization === undefined
      ? [{ field: '/subject', message: 'The subject needs a commonName or an organization' }]
      : []),
  ]
}

type Parent = {
  readonly authorityId: string
  readonly issuerId: string
  readonly signer: Signer
  readonly subject: Buffer
  readonly keyIdentifier: Buffer
  readonly validity: Validity
  readonly issuerUrl: string
}

async function openParent(ctx: Context, name: string): Promise<Parent> {
  const authority = await issuingAuthority(ctx.db.read, { name, tenantId: null })
  const issuer = currentIssuer(authority)
  const certificate = readCertificate(Buffer.from(issuer.der))
  if (certificate.pathLength === 0) {
    throw new Problem(
      'authority-refused',
      `"${name}" may not have authorities below it (pathLen 0)`,
    )
  }
  return {
    authorityId: authority.id,
    issuerId: issuer.id,
    signer: await openSigner(ctx, issuer.keyId),
    subject: certificate.subjectDer,
    keyIdentifier: certificate.subjectKeyIdentifier ?? keyIdentifier(certificate.spki),
    validity: certificate.validity,
    issuerUrl: `${ctx.config.publicUrl}/pki/${name}/ca.crt`,
  }
}

/** A root lives ten years unless asked otherwise, an intermediate five; none longer than its parent.
 *  The last second belongs to the period (RFC 5280 4.1.2.5). */
function validityOf(asked: NewAuthority, now: Date, parent: Validity | undefined): Validity {
  const days = asked.validityDays ?? (asked.kind === 'root' ? 3650 : 1825)
  const begin = wholeSecond(now.getTime() - backdate)
  const notBefore = new Date(Math.max(begin, parent?.notBefore.getTime() ?? 0))
  const end = notBefore.getTime() + days * day - 1000
  const latest = parent?.notAfter.getTime() ?? Number.POSITIVE_INFINITY
  if (end > latest && asked.outlive === 'refuse') {
    throw new Problem(
      'authority-refused',
      `validityDays ${days} reaches beyond the parent's own end, ${parent?.notAfter.toISOString()}`,
    )
  }
  return { notBefore, notAfter: new Date(Math.min(end, latest)) }
}

function wholeSecond(milliseconds: number): number {
  return Math.floor(milliseconds / 1000) * 1000
}

type Own = {
  readonly signer: Signer
  readonly spki: Buffer
  readonly subject: Buffer
  readonly validity: Validity
}

/** The self-signed certificate of a key: a root's own, an intermediate's anchor. */
export function selfSigned(ctx: Context, own: Own): Promise<Buffer> {
  const { subject, spki } = own
  return sign(own.signer, {
    ...shared(ctx, own),
    issuer: subject,
    profile: 'root',
    subjectKeyIdentifier: keyIdentifier(spki),
    signerAlgorithm: own.signer.algorithm,
  })
}

function signedBy(ctx: Context, parent: Parent, own: Own): Promise<Buffer> {
  return sign(parent.signer, {
    ...shared(ctx, own),
    issuer: parent.subject,
    profile: 'intermediate',
    pathLength: 0,
    authorityKeyIdentifier: parent.keyIdentifier,
    subjectKeyIdentifier: keyIdentifier(own.spki),
    issuerUrl: parent.issuerUrl,
    signerAlgorithm: parent.signer.algorithm,
  })
}

function shared(ctx: Context, { subject, spki, validity }: Own) {
  const serial = serialFrom(ctx.random(16))
  return { serial, subject, spki, validity, altNames: noAltNames }
}

async function sign(signer: Signer, template: Template): Promise<Buffer> {
  const tbs = toBeSigned(template)
  return assemble(tbs, signer.algorithm, await signer.sign(tbs))
}

import { record } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../core/actor.ts'
import { type Context, inTransaction, newId } from '../core/context.ts'
import { isDuplicate } from '../core/database/db.ts'
import { orRefuse } from '../core/refusal.ts'
import { Problem, refuse, type Violation } from '../shared/problem.ts'
import { roomBelow } from '../x509/certificates/chain.ts'
import { profilesUnder } from '../x509/certificates/purposes.ts'
import {
  type Certificate,
  fingerprintSha256,
  issuerKeyIdentifier,
  readCertificate,
  signsLists,
} from '../x509/certificates/read.ts'
import { serialFrom } from '../x509/certificates/serial.ts'
import { type Template, toBeSigned, type Validity } from '../x509/certificates/template.ts'
import type { NameConstraints } from '../x509/constraints/subtrees.ts'
import { keyIdentifier, weakKeyFault } from '../x509/keys/public.ts'
import { assemble, type Signer } from '../x509/keys/sign.ts'
import { lint } from '../x509/lints/run.ts'
import { noAltNames } from '../x509/names/altnames.ts'
import { type DistinguishedName, encodeName } from '../x509/names/distinguished.ts'
import { type Authority, authoritySubject, type NewAuthority } from './authority.ts'
import { authorityShard, issuerUrl, ocspUrl, shardUrl } from './crl/urls.ts'
import { getAuthority } from './find.ts'
import { askedFaults, constraintsAlong, constraintsFor } from './issuers/constraints.ts'
import { currentIssuer, issuingAuthority, pathOf, retired } from './issuers/current.ts'
import {
  limitsOf,
  profileFaults,
  reservedNameFaults,
  storeAuthority,
  tenantIdOf,
  validityLimitFaults,
} from './issuers/store.ts'
import { blockedFault } from './keys/blocked.ts'
import { keyFor, openSigner } from './keys/signer.ts'

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
  const subject = orRefuse('authority-refused', '/subject', () => encodeName(asked.subject))
  const parent = asked.parent === undefined ? null : await openParent(ctx, asked.parent)
  const above = constraintsAlong(parent?.path ?? [])
  const profiles = profilesUnder(parent?.path ?? [])
  refuse('authority-refused', [
    ...pathFaults(asked, parent),
    ...profileFaults(asked, profiles),
    ...askedFaults(asked.nameConstraints, { subject, above }),
  ])
  const validity = validityOf(asked, now, parent?.validity)
  const { spki, signer, held } = await keyFor(ctx, asked)
  refuse('authority-refused', await keyFaults(ctx, spki))
  const own = {
    signer,
    spki,
    subject,
    validity,
    pathLength: asked.pathLength ?? (parent ? 0 : undefined),
    nameConstraints: constraintsFor(asked.nameConstraints, above),
  }
  const anchor = await selfSigned(ctx, own)
  const der = parent ? await signedBy(ctx, parent, own) : anchor
  const authorityId = newId(now)
  try {
    return await ctx.db.transaction(async (tx) => {
      const tenantId = await tenantIdOf(tx, asked.tenant ?? null)
      await storeAuthority(ctx, tx, {
        authority: {
          id: authorityId,
          name: asked.name,
          displayName: asked.displayName ?? null,
          kind: asked.kind,
          tenantId,
          parentId: parent?.authorityId ?? null,
          outlive: asked.outlive ?? 'truncate',
          crlShards: asked.crlShards ?? 1,
          ...limitsOf(asked, profiles),
        },
        issuer: {
          der,
          anchor,
          parentId: parent?.issuerId ?? null,
          certificate: readCertificate(der),
        },
        key: held,
      })
      await record(tx, { actor, now }, 'authority.created', {
        subject: authoritySubject({ id: authorityId, name: asked.name, tenantId }),
        changes: {
          kind: asked.kind,
          parent: asked.parent ?? null,
          tenant: asked.tenant ?? null,
          keyAlgorithm: signer.algorithm,
          keyStore: held.store,
          serial: readCertificate(der).serial,
          notAfter: validity.notAfter.toISOString(),
          nameConstraints: asked.nameConstraints ? JSON.stringify(asked.nameConstraints) : null,
        },
      })
      return getAuthority(inTransaction(ctx, tx), actor, asked.name)
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem(
      'authority-exists',
      `There is an authority "${asked.name}", or one with this key in the token; choose another name or key`,
    )
  }
}

/** A key out of a token was not made here: it is judged like any that is sent. */
export async function keyFaults(ctx: Context, spki: Buffer): Promise<readonly Violation[]> {
  const faults = [weakKeyFault(spki), await blockedFault(ctx.db.read, spki)]
  return faults.flatMap((message) => (message === undefined ? [] : [{ field: '/key', message }]))
}

function faults(asked: NewAuthority): readonly Violation[] {
  const named: DistinguishedName = asked.subject
  return [
    ...reservedNameFaults(asked.name),
    ...(asked.kind === 'intermediate' && asked.parent === undefined
      ? [{ field: '/parent', message: 'An intermediate needs a parent' }]
      : []),
    ...(asked.kind === 'root' && asked.parent !== undefined
      ? [{ field: '/parent', message: 'A root has no parent' }]
      : []),
    ...(named.commonName === undefined && named.organization === undefined
      ? [{ field: '/subject', message: 'The subject needs a commonName or an organization' }]
      : []),
    ...validityLimitFaults(asked),
  ]
}

/** RFC 5280 4.2.1.9: no more authorities follow than all those above allow. */
function pathFaults(asked: NewAuthority, parent: Parent | null): readonly Violation[] {
  const room = parent ? roomBelow(parent.path) : undefined
  const { pathLength = 0 } = asked
  if (room === undefined || pathLength < room) return []
  const message =
    room <= 0
      ? `"${asked.parent}" may not have authorities below it (pathLength of it, or of one above it)`
      : `pathLength must be below ${room}: "${asked.parent}" and those above it allow no more`
  return [{ field: room <= 0 ? '/parent' : '/pathLength', message }]
}

/** Who signs an authority below it, or its own successor. */
export type Parent = {
  readonly authorityId: string
  readonly issuerId: string
  readonly signer: Signer
  readonly subject: Buffer
  readonly keyIdentifier: Buffer
  readonly validity: Validity
  readonly issuerUrl: string
  readonly ocspUrl: string
  /** Absent where it may not sign lists. */
  readonly crlUrl?: string
  /** Its certificate and those above it, root last. */
  readonly path: readonly Certificate[]
}

/** The authority of this name as a parent. Throws authority-unknown, authority-keyless. */
export async function openParent(ctx: Context, name: string): Promise<Parent> {
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  if (authority.retiredAt !== null) throw new Problem('authority-refused', retired(name))
  const issuer = currentIssuer(authority)
  const path = (await pathOf(ctx.db.read, issuer.id)).map(({ der }) => readCertificate(der))
  const signer = await openSigner(ctx, issuer.keyId)
  const certificate = readCertificate(Buffer.from(issuer.der))
  const ids = { authorityId: authority.id, issuerId: issuer.id }
  return { ...ids, ...parentOf(ctx, { name, certificate, signer }), path }
}

/** What a CA certificate gives to those that it signs. */
export function parentOf(
  ctx: Context,
  { name, certificate, signer }: { name: string; certificate: Certificate; signer: Signer },
): Omit<Parent, 'authorityId' | 'issuerId'> {
  const { publicUrl } = ctx.config
  const spkiSha256 = fingerprintSha256(certificate.spki)
  return {
    signer,
    subject: certificate.subjectDer,
    keyIdentifier: issuerKeyIdentifier(certificate),
    validity: certificate.validity,
    issuerUrl: issuerUrl(publicUrl, { authority: name, spkiSha256 }),
    ocspUrl: ocspUrl(publicUrl, name),
    // Authorities are few: they are all on the first list.
    ...(signsLists(certificate)
      ? { crlUrl: shardUrl(publicUrl, { authority: name, spkiSha256, shard: authorityShard }) }
      : {}),
    path: [certificate],
  }
}

/** A root lives ten years unless asked otherwise, an intermediate five; none longer than its parent.
 *  The last second belongs to the period (RFC 5280 4.1.2.5). */
export function validityOf(
  asked: Pick<NewAuthority, 'kind' | 'parent' | 'outlive' | 'validityDays'>,
  now: Date,
  parent: Validity | undefined,
): Validity {
  const days = asked.validityDays ?? (asked.kind === 'root' ? 3650 : 1825)
  const begin = wholeSecond(now.getTime() - backdate)
  const notBefore = new Date(Math.max(begin, parent?.notBefore.getTime() ?? 0))
  const end = notBefore.getTime() + days * day - 1000
  const latest = parent?.notAfter.getTime() ?? Number.POSITIVE_INFINITY
  if (latest <= now.getTime()) {
    throw new Problem(
      'authority-refused',
      `"${asked.parent}" expired at ${parent?.notAfter.toISOString()}`,
    )
  }
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

/** What a CA certificate says of its own, and the key that it is about. */
export type Own = {
  readonly signer: Signer
  readonly spki: Buffer
  readonly subject: Buffer
  readonly validity: Validity
  readonly pathLength: number | undefined
  readonly nameConstraints: NameConstraints | undefined
  /** The certificate of this key that it stands for, if there is one made elsewhere or before: it keeps
   *  that one's subjectKeyIdentifier, by which certificates below name the key, and purposes. */
  readonly standsFor?: Certificate
  /** The certificate of the key before, whose purposes it keeps. */
  readonly succeeds?: Certificate
}

/** What a certificate that stands for this one says of its key. */
export function sameAs(certificate: Certificate) {
  const { spki, subjectDer: subject } = certificate
  return { spki, subject, standsFor: certificate }
}

/** The self-signed certificate of a key: a root's own, an intermediate's anchor. */
export function selfSigned(ctx: Context, own: Own): Promise<Buffer> {
  const template: Template = {
    ...shared(ctx, own),
    issuer: own.subject,
    profile: 'root',
    signerAlgorithm: own.signer.algorithm,
  }
  return sign(own.signer, template, own)
}

/** The certificate of a key by an authority above it, or of the same name. Throws authority-refused. */
export function signedBy(
  ctx: Context,
  parent: Omit<Parent, 'authorityId' | 'issuerId'>,
  own: Omit<Own, 'signer'>,
): Promise<Buffer> {
  const template: Template = {
    ...shared(ctx, own),
    issuer: parent.subject,
    profile: 'intermediate',
    authorityKeyIdentifier: parent.keyIdentifier,
    issuerUrl: parent.issuerUrl,
    ocspUrl: parent.ocspUrl,
    ...(parent.crlUrl === undefined ? {} : { crlUrl: parent.crlUrl }),
    signerAlgorithm: parent.signer.algorithm,
  }
  return sign(parent.signer, template, own, parent.path)
}

function shared(ctx: Context, own: Omit<Own, 'signer'>) {
  const { subject, spki, validity, pathLength, nameConstraints, standsFor, succeeds } = own
  const kept = standsFor ?? succeeds
  const serial = serialFrom(ctx.random(16))
  return {
    serial,
    subject,
    spki,
    validity,
    altNames: noAltNames,
    subjectKeyIdentifier: standsFor ? standsFor.subjectKeyIdentifier : keyIdentifier(spki),
    ...(kept ? { purposes: kept.extendedKeyUsage } : {}),
    ...(standsFor && !signsLists(standsFor) ? { listless: true } : {}),
    ...(pathLength === undefined ? {} : { pathLength }),
    ...(nameConstraints ? { nameConstraints } : {}),
  }
}

/** Signs exactly the bytes that were linted. `path` is the issuer's, itself first; empty for itself. */
async function sign(
  signer: Signer,
  template: Template,
  { standsFor, succeeds }: Pick<Own, 'standsFor' | 'succeeds'>,
  path: readonly Certificate[] = [],
): Promise<Buffer> {
  const tbs = toBeSigned(template)
  const { profile } = template
  const [issuer] = path
  const room = roomBelow(path)
  const findings = lint(tbs, {
    profile,
    allowed: room === undefined ? {} : { room },
    ...(issuer ? { issuer } : {}),
    ...(standsFor ? { standsFor } : {}),
    ...(succeeds ? { succeeds } : {}),
  })
  refuse(
    'authority-refused',
    findings.map(({ name, clause, detail }) => ({
      field: '',
      message: `${detail} (${name}, ${clause})`,
    })),
  )
  return assemble(tbs, signer.algorithm, await signer.sign(tbs))
}

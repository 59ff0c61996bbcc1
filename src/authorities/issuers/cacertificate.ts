import type { Context } from '../../core/context.ts'
import { refuse } from '../../shared/problem.ts'
import { roomBelow, roomUnder } from '../../x509/certificates/chain.ts'
import { type ParsedCertificate, signsLists } from '../../x509/certificates/read.ts'
import { serialFrom } from '../../x509/certificates/serial.ts'
import { type Template, toBeSigned, type Validity } from '../../x509/certificates/template.ts'
import type { NameConstraints } from '../../x509/constraints/subtrees.ts'
import { keyIdentifier } from '../../x509/keys/public.ts'
import { assemble, type Signer } from '../../x509/keys/sign.ts'
import { lint } from '../../x509/lints/run.ts'
import { noAltNames } from '../../x509/names/altnames.ts'
import { anchorConstraints, constraintsAlong } from './constraints.ts'
import type { UnstoredParent } from './parent.ts'

/** What a CA certificate says of its subject. */
export type CaTemplate = {
  readonly spki: Buffer
  readonly subject: Buffer
  readonly validity: Validity
  readonly pathLength: number | undefined
  readonly nameConstraints: NameConstraints | undefined
  /** The certificate of the same key that this one is another form of, if there is one. Its
   *  subjectKeyIdentifier is kept, because certificates below name the key by it; so are its purposes. */
  readonly standsFor?: ParsedCertificate
  /** The certificate of the key before, whose purposes are kept. */
  readonly succeeds?: ParsedCertificate
}

/** A CA certificate for the key of `signer`. */
export type SelfTemplate = CaTemplate & { readonly signer: Signer }

/** The part of a template that is the same in every certificate of this one's key. */
export function sameKeyAs(certificate: ParsedCertificate) {
  const { spki, subjectDer: subject } = certificate
  return { spki, subject, standsFor: certificate }
}

/** Signs a CA certificate with its own key: a root's certificate, or an intermediate's trust anchor.
 *  Throws authority-refused when a lint fails. */
export function signSelfSigned(ctx: Context, template: SelfTemplate): Promise<Buffer> {
  const { signer, subject } = template
  const full: Template = {
    ...subjectFields(ctx, template),
    issuer: subject,
    profile: 'root',
    signerAlgorithm: signer.algorithm,
  }
  return sign(ctx, signer, { full, template, path: [] })
}

/** Signs the self-signed form of an intermediate made elsewhere (Issuer.anchor), with the constraints of its whole
 *  path and with the key identifier by which its certificates name it. */
export function signAnchor(
  ctx: Context,
  {
    certificate,
    signer,
    path,
  }: {
    readonly certificate: ParsedCertificate
    readonly signer: Signer
    readonly path: readonly ParsedCertificate[]
  },
): Promise<Buffer> {
  return signSelfSigned(ctx, {
    ...sameKeyAs(certificate),
    signer,
    validity: certificate.validity,
    pathLength: roomUnder(certificate, path),
    nameConstraints: anchorConstraints(certificate, constraintsAlong(path)),
  })
}

/** Signs a CA certificate with the key of `parent`. Throws authority-refused when a lint fails. */
export function signByParent(
  ctx: Context,
  parent: UnstoredParent,
  template: CaTemplate,
): Promise<Buffer> {
  const { signer, path } = parent
  const full: Template = {
    ...subjectFields(ctx, template),
    issuer: parent.subject,
    profile: 'intermediate',
    authorityKeyIdentifier: parent.keyIdentifier,
    issuerUrl: parent.issuerUrl,
    ocspUrl: parent.ocspUrl,
    ...(parent.crlUrl === undefined ? {} : { crlUrl: parent.crlUrl }),
    signerAlgorithm: signer.algorithm,
  }
  return sign(ctx, signer, { full, template, path })
}

function subjectFields(ctx: Context, template: CaTemplate) {
  const { subject, spki, validity, pathLength, nameConstraints, standsFor, succeeds } = template
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

type ToSign = {
  readonly full: Template
  readonly template: CaTemplate
  readonly path: readonly ParsedCertificate[]
}

/** Signs exactly the bytes that were linted. `path` is the issuer's, itself first; it is empty when the
 *  certificate signs itself. In a rehearsal no key is used: there the signature is one octet of zero. */
async function sign(
  { rehearses }: Context,
  signer: Signer,
  { full, template, path }: ToSign,
): Promise<Buffer> {
  const tbs = toBeSigned(full)
  const { standsFor, succeeds } = template
  const [issuer] = path
  const room = roomBelow(path)
  const findings = lint(tbs, {
    profile: full.profile,
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
  const signature = rehearses ? Buffer.alloc(1) : await signer.sign(tbs)
  return assemble(tbs, signer.algorithm, signature)
}

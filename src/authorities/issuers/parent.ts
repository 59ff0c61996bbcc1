import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import {
  fingerprintSha256,
  issuerKeyIdentifier,
  type ParsedCertificate,
  readCertificate,
  signsLists,
} from '../../x509/certificates/read.ts'
import type { Validity } from '../../x509/certificates/template.ts'
import type { Signer } from '../../x509/keys/sign.ts'
import { authorityShard, issuerUrl, ocspUrl, shardUrl } from '../crl/urls.ts'
import { openSigner } from '../keys/signer.ts'
import { currentIssuer, issuingAuthority, pathOf, retiredMessage } from './current.ts'

/** The authority that signs a CA certificate: the one above, or the same one for its next key. */
export type Parent = {
  readonly authorityId: string
  readonly issuerId: string
  readonly signer: Signer
  readonly subject: Buffer
  readonly keyIdentifier: Buffer
  readonly validity: Validity
  readonly issuerUrl: string
  readonly ocspUrl: string
  /** Absent if it may not sign revocation lists. */
  readonly crlUrl?: string
  /** Its certificate and those above it, root last. */
  readonly path: readonly ParsedCertificate[]
}

/** What of a parent its certificate alone decides. */
export type UnstoredParent = Omit<Parent, 'authorityId' | 'issuerId'>

/** Opens the authority of this name as a parent. Throws authority-unknown, authority-refused for one that
 *  is retired, authority-keyless. */
export async function openParent(ctx: Context, name: string): Promise<Parent> {
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  if (authority.retiredAt !== null) throw new Problem('authority-refused', retiredMessage(name))
  const issuer = currentIssuer(authority)
  const path = (await pathOf(ctx.db.read, issuer.id)).map(({ der }) => readCertificate(der))
  const signer = await openSigner(ctx, issuer.keyId)
  const certificate = readCertificate(Buffer.from(issuer.der))
  const ids = { authorityId: authority.id, issuerId: issuer.id }
  return { ...ids, ...parentOf(ctx, { name, certificate, signer }), path }
}

/** The parent that this CA certificate makes of an authority; its path holds that certificate alone. */
export function parentOf(
  ctx: Context,
  { name, certificate, signer }: { name: string; certificate: ParsedCertificate; signer: Signer },
): UnstoredParent {
  const { publicUrl } = ctx.config
  const spkiSha256 = fingerprintSha256(certificate.spki)
  return {
    signer,
    subject: certificate.subjectDer,
    keyIdentifier: issuerKeyIdentifier(certificate),
    validity: certificate.validity,
    issuerUrl: issuerUrl(publicUrl, { authority: name, spkiSha256 }),
    ocspUrl: ocspUrl(publicUrl, name),
    // Authorities are few, so all of them are on the first list.
    ...(signsLists(certificate)
      ? { crlUrl: shardUrl(publicUrl, { authority: name, spkiSha256, shard: authorityShard }) }
      : {}),
    path: [certificate],
  }
}

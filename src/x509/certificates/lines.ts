import { sameName } from '../names/distinguished.ts'
import { isSelfSigned, isSignedBy, type ParsedCertificate } from './read.ts'

/** A certificate, those above it, nearest first, and what is none of them. */
export type CertificateLine = {
  readonly first: ParsedCertificate
  readonly above: readonly ParsedCertificate[]
  readonly others: readonly ParsedCertificate[]
}

/** The certificates that signed none of the others: those that lines begin with. Where all did, as those that
 *  sign one another, all. */
export function beginnings(
  certificates: readonly ParsedCertificate[],
): readonly ParsedCertificate[] {
  const begin = certificates.filter((one) =>
    certificates.every((other) => other === one || !signed(other, one)),
  )
  return begin.length > 0 ? begin : certificates
}

/** The line that goes up from `first` among certificates in any order, by names and signatures. */
export function lineFrom(
  first: ParsedCertificate,
  certificates: readonly ParsedCertificate[],
): CertificateLine {
  const above: ParsedCertificate[] = []
  let rest = certificates.filter((one) => one !== first)
  for (let last = first; !isSelfSigned(last); ) {
    const next = rest.find((one) => signed(last, one))
    if (!next) break
    above.push(next)
    rest = rest.filter((one) => one !== next)
    last = next
  }
  return { first, above, others: rest }
}

function signed(certificate: ParsedCertificate, issuer: ParsedCertificate): boolean {
  return sameName(certificate.issuerDer, issuer.subjectDer) && isSignedBy(certificate, issuer.spki)
}

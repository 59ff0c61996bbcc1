import { brokenRules } from '../../shared/brokenrules.ts'
import { sameName } from '../names/distinguished.ts'
import { isSelfSigned, isSignedBy, type ParsedCertificate } from './read.ts'

/** Why `issuer` did not issue `certificate`, all reasons together; empty when it did: as linkFaults has it, and,
 *  beyond the RFC, a period within the issuer's. */
export function verifyIssued(
  certificate: ParsedCertificate,
  issuer: ParsedCertificate,
): readonly string[] {
  const { validity } = certificate
  return [
    ...linkFaults(certificate, issuer),
    ...brokenRules([
      [validity.notBefore < issuer.validity.notBefore, 'It begins before its issuer'],
      [validity.notAfter > issuer.validity.notAfter, 'It ends after its issuer'],
    ]),
  ]
}

/** Why `certificate` does not verify by `issuer`, all reasons together: signature, name bytes, key identifiers,
 *  authority bits, path length (RFC 5280 6.1.3, 6.1.4). */
export function linkFaults(
  certificate: ParsedCertificate,
  issuer: ParsedCertificate,
): readonly string[] {
  const { authorityKeyIdentifier, ca, der } = certificate
  const signed = der.equals(issuer.der)
    ? isSelfSigned(certificate)
    : isSignedBy(certificate, issuer.spki)
  return brokenRules([
    [!signed, 'The signature is not by the issuer’s key'],
    ...issuerNameFaults(certificate, issuer),
    [
      !sameKey(authorityKeyIdentifier, issuer.subjectKeyIdentifier),
      'authorityKeyIdentifier is not the issuer’s subjectKeyIdentifier',
    ],
    [
      !namesCertificate(certificate, issuer),
      'authorityKeyIdentifier names another certificate of the issuer, by issuer and serial',
    ],
    [!issuer.ca, 'The issuer is not an authority (basicConstraints)'],
    [
      issuer.keyUsage.length > 0 && !issuer.keyUsage.includes('keyCertSign'),
      'The issuer’s key may not sign certificates (keyUsage)',
    ],
    [
      ca && issuer.pathLength === 0 && !der.equals(issuer.der),
      'The issuer’s path length allows no further authority',
    ],
  ])
}

/** Some verifiers compare names as RFC 5280 7.1 says, others their octets. */
function issuerNameFaults(
  { issuerDer }: ParsedCertificate,
  { subjectDer }: ParsedCertificate,
): readonly (readonly [boolean, string])[] {
  if (issuerDer.equals(subjectDer)) return []
  const same = sameName(issuerDer, subjectDer)
  return [
    [!same, 'The issuer name is not the issuer’s subject'],
    [
      same,
      'The issuer name is the issuer’s subject in other octets (string types or case), which not every verifier takes for the same',
    ],
  ]
}

/** Where it says by which certificate of the issuer it is verified, no other will do to OpenSSL. */
function namesCertificate(
  { authorityCertificate: named }: ParsedCertificate,
  issuer: ParsedCertificate,
) {
  if (named?.serial !== undefined && named.serial !== issuer.serial) return false
  return named?.issuerDer === undefined || sameName(named.issuerDer, issuer.issuerDer)
}

/** How many authorities may follow below the first of `path`, which goes up from there: no more than any
 *  of the path allows, each of which counts those between that are not self-issued (RFC 5280 6.1.4 (l),
 *  (m)). Undefined: any number. */
export function roomBelow(path: readonly ParsedCertificate[]): number | undefined {
  const left = path.flatMap(({ pathLength }, i) =>
    pathLength === undefined ? [] : [pathLength - countedIn(path.slice(0, i))],
  )
  return left.length === 0 ? undefined : Math.min(...left)
}

/** How many may follow below an authority that stands under `path`, if its own certificate says
 *  `pathLength`; below 0 it may not stand there at all. Undefined: any number. */
export function roomUnder(
  { subjectDer, pathLength }: Pick<ParsedCertificate, 'subjectDer' | 'pathLength'>,
  path: readonly ParsedCertificate[],
): number | undefined {
  const room = roomBelow(path)
  if (room === undefined) return pathLength
  const left = path[0]?.subjectDer.equals(subjectDer) ? room : room - 1
  return Math.min(pathLength ?? left, left)
}

function countedIn(path: readonly ParsedCertificate[]): number {
  return path.filter(({ ca, issuerDer, subjectDer }) => ca && !issuerDer.equals(subjectDer)).length
}

function sameKey(authority: Buffer | undefined, subject: Buffer | undefined): boolean {
  return authority === undefined || subject === undefined || authority.equals(subject)
}

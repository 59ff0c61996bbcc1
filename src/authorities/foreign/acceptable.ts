import { brokenRules } from '../../shared/brokenrules.ts'
import type { Violation } from '../../shared/problem.ts'
import { roomUnder, verifyIssued } from '../../x509/certificates/chain.ts'
import { isSelfSigned, type ParsedCertificate } from '../../x509/certificates/read.ts'
import { strangeSpaces } from '../../x509/constraints/intersection.ts'
import { oids } from '../../x509/der/oids.ts'
import { weakAuthorityKeyFault } from '../../x509/keys/public.ts'
import { isVerifiable, signatureName } from '../../x509/keys/sign.ts'
import { countAltNames } from '../../x509/names/altnames.ts'
import { emptyName, sameName } from '../../x509/names/distinguished.ts'

/** Why a CA certificate made elsewhere could not be used, as far as it alone goes, all together: above
 *  all what verifiers would refuse, in it or in everything that it certifies. */
export function certificateFaults(certificate: ParsedCertificate, now: Date): readonly Violation[] {
  const { ca, validity, subjectDer, keyAlgorithm, spki, signatureAlgorithmDer } = certificate
  const weak = weakAuthorityKeyFault(spki)
  const root = isRoot(certificate)
  const verifiable = isVerifiable(signatureAlgorithmDer) || (root && isSelfSigned(certificate))
  const self =
    verifiable && keyAlgorithm !== undefined && root ? verifyIssued(certificate, certificate) : []
  const faults = brokenRules([
    [
      !verifiable,
      `Its own signature is by an algorithm that is not taken here (${signatureName(signatureAlgorithmDer)}): have it signed with SHA-256, SHA-384, SHA-512 or Ed25519`,
    ],
    [!ca, 'It is not a CA certificate: basicConstraints CA:TRUE is missing'],
    [subjectDer.equals(emptyName), 'Its subject is empty: nothing could name it as its issuer'],
    [!mayCertify(certificate), 'Its keyUsage does not allow keyCertSign'],
    [validity.notAfter <= now, `It expired at ${validity.notAfter.toISOString()}`],
    [validity.notBefore > now, `It is not valid before ${validity.notBefore.toISOString()}`],
    [
      (certificate.pathLength ?? 0) > longestPath,
      `Its pathLength is more than ${longestPath}; not every reader takes numbers that large`,
    ],
  ])
  return [...faults, ...extensionFaults(certificate), ...(weak ? [weak] : []), ...self].map(
    (message) => ({ field: '/certificate', message }),
  )
}

/** Whether it is to be its own issuer, by whatever octets it names it. One of the same name whose signature is
 *  by another key, made when a CA changed its key (RFC 4210 4.4), is an intermediate; where that cannot be told
 *  by the signature, by what it says of the keys. */
export function isRoot(certificate: ParsedCertificate): boolean {
  const { issuerDer, subjectDer, signatureAlgorithmDer } = certificate
  if (!sameName(issuerDer, subjectDer)) return false
  if (isSelfSigned(certificate)) return true
  const { authorityKeyIdentifier: by, subjectKeyIdentifier: own } = certificate
  const another = by !== undefined && own !== undefined && !by.equals(own)
  return !another && !isVerifiable(signatureAlgorithmDer)
}

/** What fits into a signed number of four octets. */
const longestPath = 2 ** 31 - 1

/** A keyUsage that is there and says nothing allows nothing (RFC 5280 4.2.1.3). */
function mayCertify({ extensions, keyUsage }: ParsedCertificate): boolean {
  return keyUsage.includes('keyCertSign') || !extensions.some(({ oid }) => oid === oids.keyUsage)
}

/** Critical extensions that every verifier knows; none of the others may be critical (RFC 5280 4.2),
 *  key identifiers and authorityInfoAccess included. */
const critical: ReadonlySet<string> = new Set([
  oids.basicConstraints,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.nameConstraints,
  oids.subjectAltName,
  oids.certificatePolicies,
  oids.crlDistributionPoints,
])

/** Certificates issued here have no policies, so an authority that is bound to some certifies nothing. */
const policies: Readonly<Record<string, string>> = {
  [oids.policyConstraints]: 'policyConstraints',
  [oids.inhibitAnyPolicy]: 'inhibitAnyPolicy',
}

function extensionFaults(certificate: ParsedCertificate): readonly string[] {
  const { extensions, nameConstraints, altNames } = certificate
  const bound = extensions.flatMap(({ oid }) => policies[oid] ?? [])
  const strange = extensions.flatMap((one) =>
    one.critical && !critical.has(one.oid) && !(one.oid in policies) ? [one.oid] : [],
  )
  const kinds = nameConstraints?.otherKinds ?? []
  const spaces = nameConstraints ? strangeSpaces(nameConstraints) : []
  return brokenRules([
    [
      bound.length > 0,
      `It has ${bound.join(' and ')}: verifiers would want policies, which certificates issued here do not have`,
    ],
    [
      extensions.some(({ oid, critical: must }) => must && oid === oids.subjectAltName) &&
        countAltNames(altNames) === 0,
      'It has a critical subjectAltName without names of the kinds that every verifier reads',
    ],
    [
      strange.length > 0,
      `It has critical extensions that verifiers do not take: ${strange.join(', ')}`,
    ],
    [
      kinds.length > 0,
      `Its nameConstraints are about kinds of names that are not judged here: ${kinds.join(', ')}`,
    ],
    [
      spaces.length > 0,
      `Its nameConstraints have what verifiers do not take alike: ${spaces.map((space) => JSON.stringify(space)).join(', ')}`,
    ],
  ])
}

/** Why an authority cannot stand below `path`, nor anything below it. */
export function placeFaults(
  certificate: ParsedCertificate,
  path: readonly ParsedCertificate[],
): readonly Violation[] {
  if ((roomUnder(certificate, path) ?? 0) >= 0) return []
  const message = 'The authorities above it allow none at its place (pathLength)'
  return [{ field: '/certificate', message }]
}

import { brokenRules } from '../../shared/brokenrules.ts'
import { subjectText } from '../../x509/certificates/path.ts'
import { servesPurpose } from '../../x509/certificates/purposes.ts'
import type { ParsedCertificate } from '../../x509/certificates/read.ts'
import { constraintFaults } from '../../x509/constraints/faults.ts'
import { oids } from '../../x509/der/oids.ts'
import { certifiedSpki, isCertified, keyName, weakKeyFault } from '../../x509/keys/public.ts'
import type { ServedCertificate } from './served.ts'

/** Critical extensions that verifiers know and our reader has no use for (RFC 5280 4.2.1.4, 4.2.1.11, 4.2.1.14). */
const taken: ReadonlySet<string> = new Set([
  oids.certificatePolicies,
  oids.policyConstraints,
  oids.inhibitAnyPolicy,
])

/** Why a certificate could not be served by gateways whatever its path is, all together. */
export function leafFaults(leaf: ParsedCertificate, now: Date): readonly string[] {
  const { altNames, ca, extensions, keyAlgorithm, keyUsage, serial, spki, validity } = leaf
  const weak = isCertified(keyAlgorithm) ? weakKeyFault(spki) : undefined
  const usage = extensions.some(({ oid }) => oid === oids.keyUsage)
  return brokenRules([
    [
      ca,
      'It is the certificate of a CA: import that as an authority (POST /v1/authorities/import)',
    ],
    [validity.notAfter <= now, `It ended at ${validity.notAfter.toISOString()}`],
    [validity.notBefore > now, `It is not valid before ${validity.notBefore.toISOString()}`],
    [
      !isCertified(keyAlgorithm),
      `Its key is ${keyName(certifiedSpki(spki))}, which not every gateway and browser takes`,
    ],
    [weak !== undefined, weak ?? ''],
    [
      usage && !keyUsage.includes('digitalSignature'),
      'Its keyUsage has no digitalSignature, without which no TLS 1.3 server can use it (RFC 8446 4.4.2.2)',
    ],
    [
      !servesPurpose(leaf, oids.serverAuth),
      'Its extendedKeyUsage has no serverAuth: it is not for servers',
    ],
    [
      altNames.dnsNames.length === 0,
      'It has no DNS name (subjectAltName): clients do not look at the CN',
    ],
    [
      altNames.dnsNames.some((name) => name.endsWith('.')),
      'It has a DNS name with a dot at its end, which clients find to be none (RFC 5280 4.2.1.6): have it issued without',
    ],
    [
      extensions.some(({ oid }) => oid === oids.tlsFeature),
      'It demands a stapled OCSP response (tlsFeature, "must-staple"), which gateways do not send, and which Envoy does not load: have it issued without',
    ],
    [
      unknownIn(leaf).length > 0,
      `It has critical extensions that verifiers do not take: ${unknownIn(leaf).join(', ')}`,
    ],
    [serial.length > 40, 'Its serial is longer than 20 octets (RFC 5280 4.1.2.2)'],
  ])
}

/** Why verifiers would refuse a certificate by what those above it say of names and purposes. */
export function aboveFaults({ leaf, path: { above, root } }: ServedCertificate): readonly string[] {
  const constraints = [...above, root].flatMap(({ nameConstraints }) => nameConstraints ?? [])
  const names = constraintFaults(leaf.altNames, leaf.subjectDer, ...constraints)
  return [
    ...new Set(names.map(({ message }) => message)),
    ...above.flatMap((one) =>
      brokenRules([
        [!servesPurpose(one, oids.serverAuth), `${subjectText(one)} may not sign for servers`],
        [
          unknownIn(one).length > 0,
          `${subjectText(one)} has critical extensions that verifiers do not take: ${unknownIn(one).join(', ')}`,
        ],
      ]),
    ),
  ]
}

function unknownIn({ unknownCritical }: ParsedCertificate): readonly string[] {
  return unknownCritical.filter((one) => !taken.has(one))
}

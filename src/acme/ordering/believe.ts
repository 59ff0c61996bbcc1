import { publicRoots } from '../../certificates/uploads/roots.ts'
import { pathFaults, pathPem, pathsFrom } from '../../x509/certificates/path.ts'
import { type ParsedCertificate, readCertificate } from '../../x509/certificates/read.ts'
import { X509Error } from '../../x509/der/errors.ts'
import { readPem } from '../../x509/der/pem.ts'
import { CaRefusal } from '../client/refusal.ts'

/** What was ordered. */
export type Ordered = {
  readonly names: readonly string[]
  readonly spki: Buffer
  readonly keyAlgorithm: string
  /** PEM; "": those that Node knows. */
  readonly trustedRoots: string
  readonly now: Date
}

/** A certificate that may be believed, and what stands above it; PEM. */
export type Believed = {
  readonly certificate: ParsedCertificate
  readonly chainPem: string
  readonly anchorPem: string
}

const limits = { bytes: 131_072, blocks: 10 }

/** Reads what a CA elsewhere gave out (RFC 8555 7.4.2) and holds it against what was ordered: it is of our key, of these
 *  names and no others, valid now, for servers, and leads to a root that is trusted. Throws CaRefusal. */
export function believe(pem: string, ordered: Ordered): Believed {
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw disbelief('there is no certificate in it')
  const [leaf, ...above] = read(() =>
    readPem(pem, 'CERTIFICATE', limits).map((der) => readCertificate(der)),
  )
  if (!leaf) throw disbelief('there is no certificate in it')
  const fault = leafFault(leaf, ordered)
  if (fault !== undefined) throw disbelief(fault)
  const roots = ordered.trustedRoots === '' ? publicRoots() : rootsIn(ordered.trustedRoots)
  const { paths } = pathsFrom(leaf, { between: above, roots })
  const path = paths.find((each) => pathFaults(leaf, each, ordered.now).length === 0)
  if (!path) {
    const [first] = paths.flatMap((each) => pathFaults(leaf, each, ordered.now))
    throw disbelief(first ?? 'it leads to no root that is trusted')
  }
  return { certificate: leaf, ...pathPem(path) }
}

function leafFault(leaf: ParsedCertificate, ordered: Ordered): string | undefined {
  const { names, spki, now } = ordered
  const { altNames, validity, otherAltNameKinds } = leaf
  const found = altNames.dnsNames.map((name) => name.toLowerCase())
  const strange = [
    ...found.filter((name) => !names.includes(name)),
    ...[...altNames.ipAddresses, ...altNames.emailAddresses, ...altNames.uris],
    ...otherAltNameKinds,
  ]
  const missing = names.filter((name) => !found.includes(name))
  const rules: readonly (readonly [boolean, string])[] = [
    [!leaf.spki.equals(spki), 'it is of another key'],
    [missing.length > 0, `it is not for ${missing.join(', ')}`],
    [strange.length > 0, `it is for ${strange.slice(0, 5).join(', ')}, too`],
    [leaf.ca, 'it is that of a CA'],
    [validity.notAfter <= now, `it ended at ${validity.notAfter.toISOString()}`],
    // Clocks differ by some minutes.
    [
      validity.notBefore.getTime() > now.getTime() + 300_000,
      `it begins at ${validity.notBefore.toISOString()}`,
    ],
    [
      leaf.extendedKeyUsage.length > 0 && !leaf.extendedKeyUsage.includes('1.3.6.1.5.5.7.3.1'),
      'it is not for servers (extendedKeyUsage)',
    ],
  ]
  return rules.find(([broken]) => broken)?.[1]
}

function read<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof X509Error)) throw error
    throw disbelief(error.message)
  }
}

function disbelief(reason: string): CaRefusal {
  return new CaRefusal('disbelieved', `The certificate that it gave out is not believed: ${reason}`)
}

function rootsIn(pem: string): readonly ParsedCertificate[] {
  return readPem(pem, 'CERTIFICATE').map((der) => readCertificate(der))
}

import {
  type CertificatePath,
  issuerText,
  pathFaults,
  pathsFrom,
  rootsAmong,
  subjectText,
} from '../../x509/certificates/path.ts'
import { isSelfSigned, type ParsedCertificate } from '../../x509/certificates/read.ts'
import { certifiedSpki } from '../../x509/keys/public.ts'
import { isVerifiable, signatureName } from '../../x509/keys/sign.ts'
import { sameName } from '../../x509/names/distinguished.ts'

/** An uploaded certificate and what it stands on. */
export type ServedCertificate = {
  readonly leaf: ParsedCertificate
  readonly path: CertificatePath
  /** Whether browsers know the root. */
  readonly publicRoot: boolean
  /** What came along and is not served, in sentences. */
  readonly leftOut: readonly string[]
}

/** The certificate of a key among those that were sent, or why there is none. */
export function leafOf(
  certificates: readonly ParsedCertificate[],
  spki: Buffer,
): ParsedCertificate | string {
  const leaves = certificates.filter((one) => certifiedSpki(one.spki).equals(spki))
  const [leaf, ...more] = leaves
  if (!leaf) {
    const names = certificates.map(subjectText).join(', ')
    return `The private key is of none of the certificates that were sent (${names}): send the key that the certificate was made for`
  }
  if (more.length === 0) return leaf
  return `Several certificates of this key were sent: upload them one by one (serials ${leaves.map(({ serial }) => serial).join(', ')})`
}

/** The way up that is served: of those that verifiers take today one to a root that browsers know, the longer one of
 *  several, since what was sent along was sent for those that know fewer roots. Or why there is none. */
export function servedPath(
  leaf: ParsedCertificate,
  given: {
    readonly certificates: readonly ParsedCertificate[]
    readonly known: readonly ParsedCertificate[]
    readonly now: Date
  },
): ServedCertificate | readonly string[] {
  const { certificates, known, now } = given
  if (isSelfSigned(leaf)) return ['It is signed by itself, and by no CA: have a CA issue it']
  const own = rootsAmong(certificates)
  const strangers = own.filter((one) => !known.some(({ spki }) => spki.equals(one.spki)))
  const between = certificates.filter((one) => one !== leaf && !own.includes(one))
  const { paths, ends } = pathsFrom(leaf, { between, roots: [...known, ...strangers] })
  const judged = paths.map((path) => ({ path, faults: pathFaults(leaf, path, now) }))
  const isPublic = ({ root }: CertificatePath) => known.includes(root)
  const good = judged
    .filter(({ faults }) => faults.length === 0)
    .map(({ path }) => path)
    .toSorted(
      (a, b) =>
        Number(isPublic(b)) - Number(isPublic(a)) ||
        b.above.length - a.above.length ||
        endOf(b) - endOf(a),
    )
  const [path] = good
  if (!path) {
    const [nearest] = judged.toSorted((a, b) => a.faults.length - b.faults.length)
    return nearest ? nearest.faults : ends.map((end) => missing(end, [...between, ...own]))
  }
  const leftOut = between.filter((one) => !path.above.includes(one)).map((one) => why(one, ends))
  return { leaf, path, publicRoot: isPublic(path), leftOut }
}

/** When the first of a path ends: a root counts too where two are alike. */
function endOf({ above, root }: CertificatePath): number {
  return Math.min(...[...above, root].map(({ validity }) => validity.notAfter.getTime()))
}

/** Why nothing is above a certificate: its issuer is not there, or did not make its signature as far as that can be
 *  told. */
function missing(end: ParsedCertificate, sent: readonly ParsedCertificate[]): string {
  const { signatureAlgorithmDer: algorithm } = end
  if (!isVerifiable(algorithm)) {
    return `The chain breaks off: ${subjectText(end)} is signed with ${signatureName(algorithm)}, which clients do not take: have its CA issue it anew, with SHA-256 or better`
  }
  if (sent.some((one) => one !== end && sameName(end.issuerDer, one.subjectDer))) {
    return `The chain breaks off: ${issuerText(end)} was sent, but it did not sign ${subjectText(end)} (its key is another): send the certificate of the key that did`
  }
  const { issuerUrls } = end
  const [url] = issuerUrls
  const where =
    url === undefined ? '' : ` (the certificate says that it is at ${url.slice(0, 200)})`
  return `The chain breaks off: ${issuerText(end)}, which signed ${subjectText(end)}, was not sent and is no root that browsers know. Send its certificate along${where}; where it is a root of your own, that root`
}

function why(one: ParsedCertificate, ends: readonly ParsedCertificate[]): string {
  return ends.includes(one)
    ? `${subjectText(one)}, signed by ${issuerText(one)}, which was not sent and which browsers do not know`
    : `${subjectText(one)}, signed by ${issuerText(one)}`
}

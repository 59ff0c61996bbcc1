import { toPem } from '../der/pem.ts'
import { formatName, sameName } from '../names/distinguished.ts'
import { linkFaults, roomBelow } from './chain.ts'
import { isSelfSigned, isSignedBy, type ParsedCertificate } from './read.ts'

/** What a server sends of a path, and the root that it leads to; PEM. */
export function pathPem({ above, root }: CertificatePath): {
  readonly chainPem: string
  readonly anchorPem: string
} {
  return {
    chainPem: above.map(({ der }) => toPem('CERTIFICATE', der)).join(''),
    anchorPem: toPem('CERTIFICATE', root.der),
  }
}

/** A way from a certificate up to a root: those between, nearest first. */
export type CertificatePath = {
  readonly above: readonly ParsedCertificate[]
  readonly root: ParsedCertificate
}

/** The ways that go up from a certificate, and the certificates at which others break off, since what signed those is
 *  not there. */
export type CertificatePaths = {
  readonly paths: readonly CertificatePath[]
  readonly ends: readonly ParsedCertificate[]
}

/** How many certificates may stand between a leaf and its root: as many as verifiers follow. */
const longest = 8

/** How often one is asked for those above it: enough for all that CAs cross-sign, and the end of what was made to
 *  have more ways than anybody can walk. */
const mostSteps = 500

/** All ways by names and signatures from `first` to roots, among certificates in any order; each key stands on a way
 *  once, so that those that sign one another end. Whether they hold otherwise is pathFaults' to say. */
export function pathsFrom(
  first: ParsedCertificate,
  given: {
    /** Intermediates, in any order. */
    readonly between: readonly ParsedCertificate[]
    readonly roots: readonly ParsedCertificate[]
  },
): CertificatePaths {
  const paths: CertificatePath[] = []
  const ends = new Set<ParsedCertificate>()
  const over = issuersAmong(given)
  let steps = 0
  const climb = (above: readonly ParsedCertificate[]): void => {
    if (steps++ >= mostSteps) return
    const last = above.at(-1) ?? first
    const { roots, between } = over(last)
    paths.push(...roots.map((root) => ({ above, root })))
    const own = [first, ...above]
    const next = between.filter((one) => !own.some(({ spki }) => spki.equals(one.spki)))
    if (roots.length === 0 && next.length === 0) ends.add(last)
    if (above.length < longest) for (const one of next) climb([...above, one])
  }
  climb([])
  return { paths, ends: [...ends] }
}

type Above = {
  readonly between: readonly ParsedCertificate[]
  readonly roots: readonly ParsedCertificate[]
}

/** Who signed a certificate; asked once for each. */
function issuersAmong({ between, roots }: Above): (one: ParsedCertificate) => Above {
  const known = new Map<ParsedCertificate, Above>()
  return (one) => {
    const before = known.get(one)
    if (before) return before
    const signers = (all: readonly ParsedCertificate[]) =>
      all.filter(
        (other) =>
          other !== one && sameName(one.issuerDer, other.subjectDer) && isSignedBy(one, other.spki),
      )
    const found = { between: signers(between), roots: signers(roots) }
    known.set(one, found)
    return found
  }
}

/** Why verifiers would not take a path today, all together (RFC 5280 6.1): links, dates, authority bits, the length of
 *  the path. What it says of names and purposes is asked apart. The dates of a root do not count: it is trusted as it
 *  stands, or not at all. */
export function pathFaults(
  first: ParsedCertificate,
  { above, root }: CertificatePath,
  now: Date,
): readonly string[] {
  const path = [...above, root]
  return [
    ...[first, ...above].flatMap((one, index) => {
      const issuer = path[index]
      const faults = issuer ? linkFaults(one, issuer) : []
      return faults.map((fault) => `${subjectText(one)}: ${fault}`)
    }),
    ...above.flatMap((one) => {
      const { notBefore, notAfter } = one.validity
      if (notAfter <= now) return [`${subjectText(one)}: it ended at ${notAfter.toISOString()}`]
      return notBefore > now
        ? [`${subjectText(one)}: it is not valid before ${notBefore.toISOString()}`]
        : []
    }),
    ...((roomBelow(path) ?? 0) < 0
      ? ['More authorities stand below one of the path than it allows (pathLength)']
      : []),
  ]
}

/** The roots among these: what signed itself. */
export function rootsAmong(
  certificates: readonly ParsedCertificate[],
): readonly ParsedCertificate[] {
  return certificates.filter((one) => sameName(one.issuerDer, one.subjectDer) && isSelfSigned(one))
}

/** A subject for a sentence. */
export function subjectText({ subject }: Pick<ParsedCertificate, 'subject'>): string {
  return JSON.stringify(formatName(subject).slice(0, 200))
}

/** The name of who signed it, for a sentence. */
export function issuerText({ issuer }: Pick<ParsedCertificate, 'issuer'>): string {
  return JSON.stringify(formatName(issuer).slice(0, 200))
}

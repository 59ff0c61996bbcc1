import type { Context } from '../../core/context.ts'
import type { ReadSent } from '../../core/opening/sent.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { verifyIssued } from '../../x509/certificates/chain.ts'
import { beginnings, lineFrom } from '../../x509/certificates/lines.ts'
import {
  fingerprintSha256,
  isSignedBy,
  type ParsedCertificate,
  readCertificate,
} from '../../x509/certificates/read.ts'
import { formatName, sameName } from '../../x509/names/distinguished.ts'
import { constraintsAlong, importedFaults } from '../issuers/constraints.ts'
import { pathOf } from '../issuers/current.ts'
import { certificateFaults, isRoot, placeFaults } from './acceptable.ts'

/** An issuer certificate that is stored. */
export type KnownIssuer = { readonly id: string; readonly authorityId: string }

/** Where a CA certificate made elsewhere stands. */
export type Standing = {
  readonly certificate: ParsedCertificate
  /** Those above it that came with it and are not known here, nearest first. */
  readonly above: readonly ParsedCertificate[]
  /** The known issuer of the topmost of these; null: that is a root. */
  readonly known: KnownIssuer | null
  /** All above it, nearest first, root last. */
  readonly path: readonly ParsedCertificate[]
  /** The field that it came in. */
  readonly field: ReadSent['field']
}

/** Finds which of the certificates that were sent is meant, that of the key or the one that signed none of the
 *  others, and where it stands. Throws authority-refused. */
export async function standingOf(
  ctx: Context,
  { certificates, field }: ReadSent,
  spki: Buffer | undefined,
): Promise<Standing> {
  const certificate = theOne(certificates, spki, field)
  const line = lineFrom(certificate, certificates)
  refuseOthers([certificate, ...line.above], line.others, field)
  const prints = line.above.map(({ der }) => fingerprintSha256(der))
  const rows = await ctx.db.read.issuer.findMany({
    where: { fingerprintSha256: { in: prints }, authority: { removedAt: null } },
    select: { id: true, authorityId: true, fingerprintSha256: true },
  })
  const stored = new Set(rows.map((row) => row.fingerprintSha256))
  const at = prints.findIndex((print) => stored.has(print))
  const above = at < 0 ? line.above : line.above.slice(0, at)
  const top = above.at(-1) ?? certificate
  const known =
    rows.find((row) => row.fingerprintSha256 === prints[at]) ??
    (isRoot(top) ? null : await findParent(ctx, top, field))
  const rest = known ? await certificatesAbove(ctx, known.id) : []
  return { certificate, above, known, path: [...above, ...rest], field }
}

function theOne(
  certificates: readonly ParsedCertificate[],
  spki: Buffer | undefined,
  field: string,
): ParsedCertificate {
  const [own] = spki ? certificates.filter((one) => one.spki.equals(spki)) : []
  if (own) return own
  const [first, ...more] = beginnings(certificates)
  if (first && more.length === 0) return first
  const names = [first, ...more].flatMap((one) => (one ? [nameOf(one)] : []))
  refuse('authority-refused', [
    { field, message: `Send one CA and those above it, not several: ${names.join('; ')}` },
  ])
  throw new Problem('authority-refused', 'Send a CA certificate')
}

/** What is not of its line is a mistake, unless it is another certificate of a key that is. */
function refuseOthers(
  line: readonly ParsedCertificate[],
  others: readonly ParsedCertificate[],
  field: string,
): void {
  const strange = others.filter((one) => !line.some(({ spki }) => spki.equals(one.spki)))
  refuse(
    'authority-refused',
    strange.map((one) => ({
      field,
      message: `${nameOf(one)} has signed neither it nor one above it: leave it out`,
    })),
  )
}

function nameOf({ subject }: ParsedCertificate): string {
  return JSON.stringify(formatName(subject).slice(0, 200))
}

/** Why it, or one of those that came with it, cannot stand where it does, all together. */
export function standingFaults(standing: Standing, now: Date): readonly Violation[] {
  const { certificate, above, path, field } = standing
  return [certificate, ...above].flatMap((one, index) => {
    const over = path.slice(index)
    const [issuer] = over
    const unsigned = issuer && index < above.length ? verifyIssued(one, issuer) : []
    const faults = [
      ...certificateFaults(one, now),
      ...unsigned.map((message) => ({ field, message })),
      ...placeFaults(one, over),
      ...importedFaults(one, constraintsAlong(over)),
    ]
    const whose = index === 0 ? '' : `${nameOf(one)}: `
    return faults.map(({ message }) => ({ field, message: `${whose}${message}` }))
  })
}

/** The issuer certificate here that signed it, of several one that fits in all else too. */
async function findParent(
  ctx: Context,
  certificate: ParsedCertificate,
  field: string,
): Promise<KnownIssuer> {
  const issuers = await ctx.db.read.issuer.findMany({
    where: {
      notAfter: { gte: certificate.validity.notBefore },
      authority: { removedAt: null },
    },
    select: { id: true, authorityId: true, der: true },
  })
  const signers = issuers
    .map((issuer) => ({ ...issuer, read: readCertificate(Buffer.from(issuer.der)) }))
    .filter(
      ({ read }) =>
        sameName(read.subjectDer, certificate.issuerDer) && isSignedBy(certificate, read.spki),
    )
    .map((issuer) => ({ ...issuer, faults: verifyIssued(certificate, issuer.read) }))
  const parent = signers.find(({ faults }) => faults.length === 0)
  if (parent) return parent
  const [first] = signers
  refuse(
    'authority-refused',
    (first?.faults ?? []).map((message) => ({ field, message })),
  )
  // What is wrong with it by itself says more than that nobody signed it.
  refuse(
    'authority-refused',
    certificateFaults(certificate, ctx.now()).map(({ message }) => ({ field, message })),
  )
  const { issuerDer, subjectDer } = certificate
  throw new Problem(
    'authority-refused',
    sameName(issuerDer, subjectDer)
      ? 'Its signature is not by its own key, and no authority of its name with another key is here: import that one first'
      : 'No authority here issued this certificate: import its issuer first, or send it along (its certificate alone is enough)',
  )
}

async function certificatesAbove(
  ctx: Context,
  parentId: string,
): Promise<readonly ParsedCertificate[]> {
  return (await pathOf(ctx.db.read, parentId)).map(({ der }) => readCertificate(der))
}

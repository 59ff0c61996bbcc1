import { consequence, wayOut } from '../../authorities/crl/alarm.ts'
import type { Clients, GivenLists } from '../../authorities/crl/gateway.ts'
import { nearShare, secretRoom } from '../../authorities/crl/room.ts'
import { type Above, clientTrustOf, issuersAbove, rootOf } from '../../authorities/trust/footing.ts'
import type { Context } from '../../core/context.ts'
import { day } from '../../shared/moment.ts'
import { readCertificate } from '../../x509/certificates/read.ts'
import { readPem, toPem } from '../../x509/der/pem.ts'
import type { CertificateRow } from '../gather.ts'

/** What a host rests on: why nobody can be served or let in, what will soon be so, and when. */
export type Footing = {
  readonly faults: readonly string[]
  readonly warnings: readonly string[]
  readonly until: Date
  /** The ids of keys whose clients a gateway refuses, since their lists have no room in a Secret. */
  readonly refused: readonly string[]
}

/** What decides it, as recorded. */
export type Recorded = {
  readonly certificate: { readonly status: string; readonly notAfter: Date }
  /** The issuer of the certificate and all above it. */
  readonly above: readonly Above[]
  /** MUTUAL: whose clients are let in. */
  readonly clients?: {
    readonly authority: string
    /** The CA certificates that are trusted for it. */
    readonly trusted: readonly Above[]
    /** How it stands with the lists that the gateway holds. */
    readonly lists: GivenLists
  }
}

/** The footing of a host with this certificate that lets in these clients. */
export async function footingOf(
  ctx: Context,
  asked: { readonly certificate: CertificateRow; readonly clients: Clients | undefined },
): Promise<Footing> {
  const { certificate } = asked
  const now = ctx.now()
  const above = await certificatesAbove(ctx, certificate)
  const trust = asked.clients && (await clientTrustOf(ctx, asked.clients))
  const { authority = '' } = asked.clients ?? {}
  const clients = trust ? { clients: { authority, ...trust } } : {}
  return footing({ certificate, above, ...clients }, now)
}

type Signed = Pick<CertificateRow, 'issuerId' | 'chainPem' | 'anchorPem'>

/** The issuer of a certificate and all above it, as far as they are on record. */
async function certificatesAbove(
  ctx: Context,
  { issuerId, chainPem, anchorPem }: Signed,
): Promise<readonly Above[]> {
  if (issuerId !== null) return issuersAbove(ctx, issuerId)
  return readPem(`${chainPem ?? ''}${anchorPem ?? ''}`, 'CERTIFICATE').map((der) => {
    const { subject, validity } = readCertificate(der)
    const authority = subject.commonName ?? subject.organization ?? ''
    return { authority, ...validity, revokedAt: null }
  })
}

/** PEM: whom clients of a certificate trust; undefined: those that Node knows. */
export async function trustUnder(
  ctx: Context,
  { issuerId, anchorPem }: Signed,
): Promise<readonly string[] | undefined> {
  if (issuerId !== null) return [toPem('CERTIFICATE', await rootOf(ctx, issuerId))]
  return anchorPem === null ? undefined : [anchorPem]
}

/** The rule: ended, not yet begun or revoked is whatever one of its parts is. */
export function footing({ certificate, above, clients }: Recorded, now: Date): Footing {
  const ends = [
    certificate.notAfter,
    ...above.map(({ notAfter }) => notAfter),
    ...(clients?.lists.ends ?? []),
    ...lastOf(clients?.trusted ?? []),
  ]
  const until = new Date(Math.min(...ends.map((end) => end.getTime())))
  const faults = [
    ...(certificate.status === 'revoked' ? ['Its certificate was revoked'] : []),
    ...(certificate.notAfter <= now
      ? [`Its certificate ended at ${certificate.notAfter.toISOString()}`]
      : []),
    ...above.flatMap((each) => {
      const why = faultOf(each, now)
      return why === undefined
        ? []
        : [`Clients refuse its certificate: that of the authority "${each.authority}" ${why}`]
    }),
    ...(clients ? clientFaults(clients, now) : []),
  ]
  const warnings = clients ? listWarnings(clients, now) : []
  const refused = clients?.lists.refused ?? []
  return { faults, warnings: faults.length > 0 ? [] : warnings, until, refused }
}

function listWarnings(
  { authority, lists }: NonNullable<Recorded['clients']>,
  now: Date,
): readonly string[] {
  const { ends, octets, keys, overflow } = lists
  const stale = ends.filter((end) => end.getTime() - now.getTime() < day)
  const of = `What "${authority}" has revoked of the clients of this host`
  const share = Math.round((100 * octets) / secretRoom)
  const filled = `${of} comes to ${share} % of what the Secret of a gateway has room for`
  const over = keys.filter((each) => each !== 'whole')
  return [
    ...stale.map(
      (end) =>
        `A revocation list of "${authority}" ends at ${end.toISOString()} and was not made anew: from then on every client is refused`,
    ),
    ...(over.length > 0 ? [`${filled}: ${consequence(overflow)}. ${wayOut}`] : []),
    ...(over.length === 0 && share > 100 * nearShare
      ? [`${filled}; beyond it ${consequence(overflow)}. ${wayOut}`]
      : []),
  ]
}

/** As long as one of them holds, somebody is let in. */
function lastOf(trusted: readonly Above[]): readonly Date[] {
  const [last] = trusted
    .map(({ notAfter }) => notAfter)
    .toSorted((a, b) => b.getTime() - a.getTime())
  return last ? [last] : []
}

function clientFaults(
  { authority, trusted, lists }: NonNullable<Recorded['clients']>,
  now: Date,
): readonly string[] {
  const refused = 'every client is refused'
  const whys = trusted.map((each) => faultOf(each, now))
  const [why] = whys
  const ended = lists.ends.find((end) => end <= now)
  const noRoom = lists.keys.length > 0 && lists.keys.every((each) => each === 'refused')
  return [
    ...(trusted.length === 0 ? [`No key of "${authority}" is trusted any more: ${refused}`] : []),
    ...(why !== undefined && whys.every((each) => each !== undefined)
      ? [`The client authority "${authority}" ${why}: ${refused}`]
      : []),
    ...(ended
      ? [`A revocation list of "${authority}" ended at ${ended.toISOString()}: ${refused}`]
      : []),
    ...(noRoom
      ? [
          `What "${authority}" has revoked of the clients of this host has outgrown what the Secret of a gateway has room for: ${refused}. ${wayOut}`,
        ]
      : []),
  ]
}

function faultOf({ notBefore, notAfter, revokedAt }: Above, now: Date): string | undefined {
  if (revokedAt !== null) return `was revoked at ${revokedAt.toISOString()}`
  if (notAfter <= now) return `ended at ${notAfter.toISOString()}`
  return notBefore > now ? `is not valid before ${notBefore.toISOString()}` : undefined
}

import { currentIssuer, issuingAuthority } from '../../authorities/issuers/current.ts'
import { probeCredential } from '../../certificates/hosts/probing.ts'
import { refusedClients } from '../../certificates/hosts/refused.ts'
import { isPublicRoot } from '../../certificates/uploads/roots.ts'
import { ingressOf } from '../../clusters/find.ts'
import type { Context } from '../../core/context.ts'
import { blockedSentence } from '../../hosts/certificates/uploaded.ts'
import { specOf } from '../../hosts/find.ts'
import { namesOf } from '../../hosts/host.ts'
import { Problem } from '../../shared/problem.ts'
import { readCertificate } from '../../x509/certificates/read.ts'
import { readPem } from '../../x509/der/pem.ts'
import { formatName } from '../../x509/names/distinguished.ts'
import { type CertificateRow, clientsLetIn, type PlacementRow } from '../gather.ts'
import { footingOf, trustUnder } from './footing.ts'
import { awaitAllServed } from './verify.ts'

/** What is known of a host on a cluster: what is wrong, if anything, what could not be proved, and
 *  until when it can hold. */
export type Proof = {
  readonly fault: string | null
  /** The ingress said nothing. */
  readonly unanswered: boolean
  readonly warnings: readonly string[]
  readonly until: Date
}

type Proved = {
  readonly placement: PlacementRow
  readonly certificate: CertificateRow
  /** How long the ingress may take. */
  readonly timeoutMilliseconds: number
}

/** Proves a host: what it rests on has not ended, the ingress serves the issued certificate and a path
 *  that its clients trust, and for MUTUAL refuses who shows no certificate and lets in a client of the
 *  authority. The client is one made for this (src/certificates/hosts/probing.ts). Where none can be made, its
 *  being let in is not proved, and a warning says so. */
export async function prove(
  ctx: Context,
  { placement, certificate, timeoutMilliseconds }: Proved,
): Promise<Proof> {
  const { host, cluster, ingress } = placement
  const { tls } = specOf(host)
  const authority = tls.mode === 'MUTUAL' ? tls.clientAuthority : undefined
  const letIn = await clientsLetIn(ctx, specOf(host), host.tenantId)
  const { faults, warnings, until, refused } = await footingOf(ctx, {
    certificate,
    clients: letIn?.clients,
  })
  if (faults.length > 0) return { fault: faults.join('. '), unanswered: false, warnings, until }
  const shown =
    authority === undefined ? undefined : await clientOf(ctx, host, { authority, refused })
  const trust = await trustUnder(ctx, certificate)
  const { fault, unanswered } = await awaitAllServed(
    {
      address: ingressOf(cluster, ingress).address,
      der: Buffer.from(certificate.der ?? []),
      ...(trust ? { trust } : {}),
      ...(authority === undefined
        ? {}
        : { clients: { authority, ...(shown && 'client' in shown ? shown : {}) } }),
    },
    namesOf(host.name, specOf(host)),
    timeoutMilliseconds,
  )
  const unproved = shown && 'unproved' in shown ? [shown.unproved] : []
  const unsigning = authority === undefined ? [] : await refusedOf(ctx, host, authority)
  return {
    fault,
    unanswered,
    warnings: [
      ...warnings,
      ...unknownRoot(certificate),
      ...(await blockedKey(ctx, certificate)),
      ...unproved,
      ...unsigning,
    ],
    until,
  }
}

/** What is served is held against the root that its chain was found to lead to when it came, whatever this machine
 *  trusts: what is to be shown is that it is served, and nothing else. That browsers do not know that root is said. */
function unknownRoot({ uploaded, anchorPem }: CertificateRow): readonly string[] {
  if (uploaded === '' || anchorPem === null) return []
  const [root = Buffer.alloc(0)] = readPem(anchorPem, 'CERTIFICATE')
  if (isPublicRoot(root)) return []
  const name = formatName(readCertificate(root).subject).slice(0, 200)
  return [
    `Its certificate leads to a root that browsers do not know (${name}): only clients that were given it trust this host`,
  ]
}

/** An uploaded certificate whose key is blocked is served until another is there; its CA alone can revoke it. */
async function blockedKey(
  ctx: Context,
  { uploaded, spkiSha256 }: CertificateRow,
): Promise<readonly string[]> {
  if (uploaded === '') return []
  const found = await ctx.db.read.blockedKey.findUnique({ where: { spkiSha256 } })
  return found ? [blockedSentence(found.since)] : []
}

async function refusedOf(
  ctx: Context,
  { tenantId }: PlacementRow['host'],
  authority: string,
): Promise<readonly string[]> {
  const found = await refusedClients(ctx.db.read, { tenantId, authority, now: ctx.now() })
  return found === undefined ? [] : [found]
}

async function clientOf(
  ctx: Context,
  { tenant }: PlacementRow['host'],
  { authority, refused }: { readonly authority: string; readonly refused: readonly string[] },
) {
  try {
    const issuing = await issuingAuthority(ctx, { name: authority, tenantId: null })
    if (refused.includes(currentIssuer(issuing).keyId)) {
      return { unproved: `Clients of the key of "${authority}" that signs now are refused` }
    }
    return { client: await probeCredential(ctx, { tenant: tenant.name, authority }) }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return {
      unproved: `That clients of "${authority}" are let in could not be proved, only that others are not: ${error.message}`,
    }
  }
}

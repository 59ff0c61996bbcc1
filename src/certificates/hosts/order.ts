import { findIssuing } from '../../authorities/issuers/current.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'
import { type CompleteSpec, namesOf } from '../../hosts/host.ts'
import { must } from '../../shared/must.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { windowsOf } from '../../tenants/access.ts'
import { usualDays } from '../../x509/certificates/validity.ts'
import { noAltNames } from '../../x509/names/altnames.ts'
import { type Renewable, renewalState, withIssuer } from '../renewal/rules.ts'
import {
  type AllowedRequest,
  allowed,
  type CheckedElsewhere,
  checkAgain,
  checkElsewhere,
} from '../vetting/check.ts'
import type { IssuanceRequest } from '../vetting/request.ts'
import { type CertificateNeed, certificateNeed } from './need.ts'

/** In whose name hosts are given their certificates. */
export const actor = systemActor('host.certify')

/** A host with the certificate that it has. */
export type CertifiedHost = NonNullable<Awaited<ReturnType<typeof findCertifiedHost>>>

/** Those who ask at once share one statement. */
export function findCertifiedHost(ctx: Context, id: string) {
  return certifiedHosts(ctx)(id)
}

const certifiedHosts = oncePer((ctx) =>
  batchedReads(
    (ids) =>
      ctx.db.read.host.findMany({
        where: { id: { in: ids } },
        include: {
          tenant: { select: { name: true, policy: true } },
          certificate: { include: withIssuer },
        },
      }),
    ({ id }) => id,
  ),
)

/** What would be issued for a host now, or why nothing would be; and why it needs that, if it does. */
export type HostOrder = {
  readonly need: CertificateNeed | undefined
  readonly order: AllowedRequest | Elsewhere | Problem
}

/** What is to be ordered of a CA elsewhere. */
export type Elsewhere = { readonly elsewhere: Omit<CheckedElsewhere, 'faults'> }

/** What a host is to be issued, by the rules of today, and whether it needs it. Somebody who `asked` for its renewal
 *  waits for no window. */
export async function orderFor(
  ctx: Context,
  host: CertifiedHost,
  spec: CompleteSpec,
  asked = false,
): Promise<HostOrder> {
  const { days, order } = await checkedFor(ctx, host, spec)
  const windows = asked ? undefined : windowsOf(host.tenant)
  const held = heldBy(host, { allowed: !(order instanceof Problem), windows })
  return { need: certificateNeed(held, { name: host.name, spec, days, now: ctx.now() }), order }
}

async function checkedFor(
  ctx: Context,
  host: CertifiedHost,
  spec: CompleteSpec,
): Promise<{ readonly days: number; readonly order: HostOrder['order'] }> {
  const read = requestFor(host.name, spec)
  const authority = must(spec.certificate.authority, 'what is issued has an authority')
  let days = read.validityDays
  try {
    if ((await findIssuing(ctx)(authority))?.kind === 'acme') {
      const asked = { tenant: host.tenant.name, authority, read: bare(read) }
      const { faults, ...elsewhere } = await checkElsewhere(ctx, actor, asked)
      refuse('certificate-refused', faults)
      return { days, order: { elsewhere } }
    }
    const checked = await checkAgain(ctx, actor, { tenant: host.tenant.name, authority, read })
    days = checked.request.validityDays
    return { days, order: allowed(checked) }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { days, order: error }
  }
}

function requestFor(name: string, spec: CompleteSpec): IssuanceRequest {
  // RFC 5280 App. A: a commonName has at most 64 characters.
  const commonName = name.length <= 64 ? name : undefined
  const { organization, keyAlgorithm, validityDays } = spec.certificate
  return {
    profile: 'server',
    subject: {
      ...(commonName === undefined ? {} : { commonName }),
      ...(organization === undefined ? {} : { organization }),
    },
    commonName,
    names: { ...noAltNames, dnsNames: namesOf(name, spec) },
    keyAlgorithm: must(keyAlgorithm, 'what is issued has a kind of key'),
    // A CA elsewhere says it itself.
    validityDays: validityDays ?? usualDays,
    spki: undefined,
  }
}

/** A CA elsewhere takes the names of a request and nothing else. */
function bare(read: IssuanceRequest): IssuanceRequest {
  return { ...read, subject: {}, commonName: undefined }
}

/** What of a certificate its host depends on, held against these rules. */
export function heldBy(
  { certificate }: Pick<CertifiedHost, 'certificate'>,
  rules: Pick<Renewable, 'allowed' | 'windows'>,
) {
  if (!certificate) return undefined
  const { subject, issuer } = certificate
  const organization =
    typeof subject === 'object' && subject !== null && 'organization' in subject
      ? String(subject.organization)
      : undefined
  return {
    ...certificate,
    ...renewalState(certificate),
    authority: certificate.authority?.name,
    organization,
    issuerNotAfter: issuer?.notAfter,
    ...rules,
  }
}

import { createHash } from 'node:crypto'
import Value from 'typebox/value'
import { systemActor } from '../ground/actor.ts'
import type { Context } from '../ground/context.ts'
import type { Tx } from '../ground/db.ts'
import { due } from '../ground/due.ts'
import { CompleteSpec } from '../hosts/host.ts'
import { readTenant } from '../tenants/access.ts'
import { Problem } from '../words/problem.ts'
import { noAltNames } from '../x509/altnames.ts'
import type { Ask } from './ask.ts'
import { type Held, misfit } from './fits.ts'
import { authorityFor, issue, judge } from './issue.ts'

const actor = systemActor('host.certify')

/** Sees that a host has a certificate that fits what it asks for, and that its clusters are told.
 *  Driven by what is stored alone: run twice, late, or after a crash, it comes to the same end. */
export async function certifyHost(ctx: Context, hostId: string): Promise<void> {
  const host = await findHost(ctx.db.read, hostId)
  if (!host || host.removedAt !== null) return
  const spec = Value.Parse(CompleteSpec, host.spec)
  const reason = misfit(heldBy(host), { name: host.name, spec, now: ctx.now() })
  const certificateId =
    reason === undefined ? host.certificateId : await replace(ctx, host, { spec, reason })
  if (certificateId === null) return
  await ctx.db.transaction(async (tx) => {
    const { count } = await tx.host.updateMany({
      where: { id: hostId, generation: host.generation, certificateId: host.certificateId },
      data: { certificateId },
    })
    // The host was changed meanwhile: look again.
    if (count === 0) return due(tx, 'host.certify', { hostId })
    await tellClusters(tx, { id: hostId, generation: host.generation, certificateId }, ctx.now())
  })
}

type HostRow = NonNullable<Awaited<ReturnType<typeof findHost>>>

function findHost(tx: Tx, id: string) {
  return tx.host.findUnique({
    where: { id },
    include: {
      tenant: { select: { name: true } },
      certificate: {
        include: {
          authority: { select: { name: true } },
          issuer: { select: { notAfter: true } },
        },
      },
    },
  })
}

function heldBy({ certificate }: HostRow): Held | undefined {
  if (!certificate) return undefined
  const { subject } = certificate
  const organization =
    typeof subject === 'object' && subject !== null && 'organization' in subject
      ? String(subject.organization)
      : undefined
  return {
    ...certificate,
    authority: certificate.authority.name,
    organization,
    issuerNotAfter: certificate.issuer.notAfter,
  }
}

/** Issues the next certificate; null when that is refused, which its placements then say. */
async function replace(
  ctx: Context,
  host: HostRow,
  { spec, reason }: { spec: CompleteSpec; reason: string },
): Promise<string | null> {
  const ask = askFor(host.name, spec)
  try {
    const tenant = await readTenant(ctx.db.read, host.tenant.name)
    if (!tenant) throw new Problem('tenant-unknown', `There is no tenant "${host.tenant.name}"`)
    const authority = await authorityFor(ctx, tenant, spec.certificate.authority)
    await judge(ctx, { tenant, authority, ask })
    const { id } = await issue(ctx, actor, {
      tenant,
      authority,
      ask,
      cause: 'host',
      hostId: host.id,
      ...(host.certificateId === null ? {} : { replacesId: host.certificateId }),
      ...identity(host, reason),
    })
    return id
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    await ctx.db.transaction((tx) =>
      tx.placement.updateMany({
        where: { hostId: host.id, wanted: true },
        data: {
          status: 'Failed',
          since: ctx.now(),
          message: `No certificate could be issued (${reason}): ${error.message}`,
        },
      }),
    )
    return null
  }
}

function askFor(name: string, { certificate }: CompleteSpec): Ask {
  // RFC 5280 App. A: a commonName has at most 64 characters.
  const commonName = name.length <= 64 ? name : undefined
  const { organization } = certificate
  return {
    profile: 'server',
    subject: {
      ...(commonName === undefined ? {} : { commonName }),
      ...(organization === undefined ? {} : { organization }),
    },
    commonName,
    names: { ...noAltNames, dnsNames: [name] },
    keyAlgorithm: certificate.keyAlgorithm,
    validityDays: certificate.validityDays,
    spki: undefined,
  }
}

/** A retry after a crash finds the certificate that was made for this very need. */
function identity(host: HostRow, reason: string) {
  const need = [host.id, String(host.generation), host.certificateId ?? '', reason]
  const digest = createHash('sha256').update(JSON.stringify(need)).digest('hex')
  return { requestKey: digest, requestHash: digest }
}

async function tellClusters(
  tx: Tx,
  host: { id: string; generation: number; certificateId: string },
  now: Date,
): Promise<void> {
  const placements = await tx.placement.findMany({
    where: { hostId: host.id, wanted: true },
    select: { id: true, clusterId: true, generation: true, certificateId: true, status: true },
  })
  for (const placement of placements) {
    const current =
      placement.status === 'Synced' &&
      placement.generation === host.generation &&
      placement.certificateId === host.certificateId
    if (current) continue
    if (placement.status === 'Synced') {
      const data = { status: 'Pending', since: now, message: null }
      await tx.placement.update({ where: { id: placement.id }, data })
    }
    const { id: placementId, clusterId } = placement
    await due(tx, 'placement.push', { placementId, clusterId })
  }
}

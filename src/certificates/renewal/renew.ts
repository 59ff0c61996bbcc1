import { isDeepStrictEqual } from 'node:util'
import Value from 'typebox/value'
import { record } from '../../audit/record.ts'
import { issuingAuthority } from '../../authorities/issuers/current.ts'
import { readyIssuer } from '../../authorities/issuers/ready.ts'
import { type Actor, systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { due, dueMany } from '../../core/database/due.ts'
import { brokenRules } from '../../shared/brokenrules.ts'
import { day } from '../../shared/moment.ts'
import { oneOf } from '../../shared/oneof.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { DistinguishedName } from '../../shared/schema.ts'
import { accessTenant, policyOf, readTenant, type TenantRow } from '../../tenants/access.ts'
import { countOne } from '../../tenants/quotas/usage.ts'
import { tenantUri } from '../../tenants/uri.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { keyAlgorithms } from '../../x509/keys/public.ts'
import type { Certificate } from '../certificate.ts'
import { getCertificate } from '../find.ts'
import { certifyHost } from '../hosts/certify.ts'
import { type RequestIdentity, requestDigest } from '../issuance/idempotency.ts'
import { issue, issueWithinQuota } from '../issuance/issue.ts'
import { isTransient, laterWhenBusy } from '../issuance/transient.ts'
import { certificateName } from '../name.ts'
import { type Checked, checkRequest, requestFaults } from '../vetting/check.ts'
import { daysWithin, defaultDays } from '../vetting/limits.ts'
import { type IssuanceRequest, readIssuanceRequest, spelled } from '../vetting/request.ts'
import { backoff, type RenewalReason, renewalReason } from './rules.ts'

/** Which certificate to renew, and for whose key. */
export type RenewalRequest = {
  readonly tenant: string
  readonly id: string
  /** A new CSR of whoever has the key; left out, a new key is made here. */
  readonly csr: string | undefined
  readonly idempotencyKey: string | undefined
}

/** Replaces a certificate by one of the same names, as policy and authority allow it today, and answers
 *  that one. A certificate whose key was made here gets a new key; one whose caller kept it needs a new
 *  CSR, which for a revoked one must be of another key. One of a host is replaced on the host, and its
 *  clusters are told. Throws tenant-unknown, certificate-unknown, certificate-unfinished,
 *  certificate-replaced, certificate-refused, idempotency-mismatch, authority-keyless. */
export async function renewCertificate(
  ctx: Context,
  actor: Actor,
  request: RenewalRequest,
): Promise<Certificate> {
  const { id, csr } = request
  const tenant = await accessTenant(ctx, actor, {
    name: request.tenant,
    permission: 'write-certificates',
  })
  const row = await findForRenewal(ctx.db.read, id)
  if (!row || row.tenantId !== tenant.id) {
    throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  }
  if (row.cause === 'probe') {
    throw new Problem('certificate-refused', 'It was made to prove hosts by, and is never renewed')
  }
  if (row.status === 'signing') {
    throw new Problem('certificate-unfinished', 'It is still being signed; ask again in a moment')
  }
  const answer = async (next: string) =>
    getCertificate(ctx, actor, { tenant: tenant.name, id: next })
  if (row.hostId !== null) return answer(await renewOnHost(ctx, actor, { tenant, row, csr }))
  const order = await orderFor(ctx, tenant, { row, csr })
  const identity = identityOf(actor, row, request)
  const known = await ctx.db.read.certificate.findUnique({
    where: { requestKey: new Uint8Array(Buffer.from(identity.requestKey, 'hex')) },
    select: { id: true },
  })
  if (!known) {
    refuseReplaced(row)
    await checkRequest(ctx, order)
  }
  const reason = row.status === 'revoked' ? 'revoked' : 'asked'
  return answer(await replace(ctx, actor, { row, order, reason, identity }))
}

const automatic = systemActor('certificate.renew')

/** Renews a certificate whose key was made here, if it is to be: driven by what is stored alone, so
 *  that it may run twice, late, or after a crash. What is refused is tried again later and later. */
export async function renewByItself(ctx: Context, certificateId: string): Promise<void> {
  const row = await findForRenewal(ctx.db.read, certificateId)
  if (!row || row.hostId !== null || row.keySource !== 'server') return
  if (row.status === 'signing' || (!row.autoRenew && row.replacementId === null)) return
  if (successorOf(row)) return retire(ctx.db.read, row.id)
  const tenant = await readTenant(ctx.db.read, row.tenant.name)
  if (!tenant) return
  try {
    const order = await orderFor(ctx, tenant, { row, csr: undefined })
    const faults = await requestFaults(ctx, order)
    const renewable = { ...row, ...renewalState(row), allowed: faults.length === 0 }
    const reason = renewalReason(renewable, ctx.now())
    if (reason === undefined) return
    // Whoever revoked it wants it no more; one that ended before its turn is renewed all the same.
    if (reason === 'revoked') return retire(ctx.db.read, row.id)
    if (reason === 'ended' && !row.autoRenew) return
    refuse('certificate-refused', faults)
    const identity = identityOf(automatic, row, { csr: undefined, idempotencyKey: undefined })
    await replace(ctx, automatic, { row, order, reason, identity })
  } catch (error) {
    // What is only busy is asked again by the queue.
    if (!(error instanceof Problem) || isTransient(error)) throw error
    await fail(ctx, row, error)
  }
}

/** As renewByItself, for a job: what is busy is due again in a moment, so that the slot of the worker
 *  is free for others. */
export async function renewDue(ctx: Context, certificateId: string): Promise<void> {
  const job = { kind: 'certificate.renew', key: { certificateId } } as const
  await laterWhenBusy(ctx, job, () => renewByItself(ctx, certificateId))
}

type Row = NonNullable<Awaited<ReturnType<typeof findForRenewal>>>

function findForRenewal(tx: Tx, id: string) {
  return tx.certificate.findUnique({
    where: { id },
    include: {
      tenant: { select: { name: true } },
      authority: { select: { name: true } },
      issuer: {
        select: {
          notAfter: true,
          key: { select: { issuers: { where: { issues: true }, select: { id: true } } } },
        },
      },
      replacedBy: { select: { id: true, status: true }, orderBy: { createdAt: 'desc' } },
      servedBy: { select: { id: true } },
    },
  })
}

function renewalState({ issuer, replacementId }: Row) {
  return { issuerSigns: issuer.key.issuers.length > 0, ordered: replacementId !== null }
}

function successorOf({ replacedBy }: Row): { readonly id: string } | undefined {
  return replacedBy.find(({ status }) => status !== 'revoked')
}

function refuseReplaced(row: Row): void {
  const next = successorOf(row)
  if (!next) return
  throw new Problem('certificate-replaced', `${next.id} has taken its place: renew that one`, {
    replacedBy: next.id,
  })
}

/** On its host the same Secret gets the next one. */
async function renewOnHost(
  ctx: Context,
  actor: Actor,
  { tenant, row, csr }: { tenant: TenantRow; row: Row; csr: string | undefined },
): Promise<string> {
  refuse(
    'certificate-refused',
    csr === undefined
      ? []
      : [{ field: '/csr', message: 'Keys of hosts are made here: leave it out' }],
  )
  const [host] = row.servedBy
  if (!host) {
    refuseReplaced(row)
    throw new Problem('certificate-refused', 'No host uses it: put the host instead')
  }
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    if (!isOwed(row, now)) await countOne(tx, { ctx, tenant }, 'certificatesPerDay')
    await tx.certificate.updateMany({ where: { id: row.id }, data: { renewAt: now } })
    await record(tx, { actor, now }, 'certificate.renewal-asked', {
      subject: {
        kind: 'certificate',
        id: row.id,
        name: certificateName(row),
        tenantId: row.tenantId,
      },
      changes: { serial: row.serial },
    })
  })
  await certifyHost(ctx, host.id)
  const { certificateId } = await ctx.db.read.host.findUniqueOrThrow({
    where: { id: host.id },
    select: { certificateId: true },
  })
  if (certificateId !== null && certificateId !== row.id) return certificateId
  const { renewError } = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id: row.id },
    select: { renewError: true },
  })
  throw new Problem('certificate-refused', renewError ?? 'The host was changed; ask again')
}

/** The same again: names, purpose, kind of key and length, the length within the limits of today. */
async function orderFor(
  ctx: Context,
  tenant: TenantRow,
  { row, csr }: { row: Row; csr: string | undefined },
): Promise<Checked> {
  const authority = await issuingAuthority(ctx, { name: row.authority.name, tenantId: tenant.id })
  const policy = policyOf(tenant)
  const subject = Value.Clean(DistinguishedName, structuredClone(row.subject))
  const named = Value.Parse(DistinguishedName, subject)
  const requested = {
    profile: oneOf(['server', 'client', 'peer'], row.profile),
    subject: named,
    ...requestedNames(row),
    validityDays: daysWithin(daysOf(row) ?? defaultDays(authority, policy), authority, policy),
  }
  const request =
    csr === undefined
      ? readIssuanceRequest(
          { ...requested, keyAlgorithm: oneOf(keyAlgorithms, row.keyAlgorithm) },
          0,
        )
      : readIssuanceRequest({ ...requested, csr }, 0)
  refuse('certificate-refused', csrFaults(request, row))
  return { tenant, authority, issuer: await readyIssuer(ctx, authority), request }
}

/** The names that were requested: that of the tenant is given anew. */
function requestedNames({ dnsNames, ipAddresses, emailAddresses, uris, tenantId }: Row) {
  const own = tenantUri(tenantId)
  const requested = uris.filter((uri) => uri !== own)
  return { dnsNames, ipAddresses, emailAddresses, uris: requested }
}

/** Undefined when its issuer's own end cut it short: nobody asked for that. */
function daysOf({ notBefore, notAfter, issuer }: Row): number | undefined {
  if (notAfter.getTime() === issuer.notAfter.getTime()) return undefined
  return Math.max(1, Math.round((notAfter.getTime() + 1000 - notBefore.getTime()) / day))
}

function csrFaults({ spki, subject, names }: IssuanceRequest, row: Row): readonly Violation[] {
  const faults = brokenRules([
    [
      spki === undefined && row.keySource === 'caller',
      'Its key is with whoever sent its CSR: send a new one',
    ],
    [
      spki !== undefined && row.status === 'revoked' && fingerprintSha256(spki) === row.spkiSha256,
      'A revoked certificate is only replaced for another key: make a new one',
    ],
    [
      !isDeepStrictEqual(names, spelled(requestedNames(row))) ||
        !isDeepStrictEqual({ ...subject }, row.subject),
      'The CSR names more than the certificate does: renewing changes no names, order a new one',
    ],
  ])
  return faults.map((message) => ({ field: '/csr', message }))
}

/** Without a key of the caller's own, a certificate is replaced once, however many ask at a time; once
 *  more when what took its place was revoked. */
function identityOf(
  actor: Actor,
  row: Row,
  { csr, idempotencyKey }: Pick<RenewalRequest, 'csr' | 'idempotencyKey'>,
): RequestIdentity {
  return {
    requestKey:
      idempotencyKey === undefined
        ? requestDigest('renew', row.id, String(row.replacedBy.length))
        : requestDigest(actor.id ?? actor.name, idempotencyKey),
    requestHash: requestDigest('renew', row.id, csr ?? ''),
  }
}

async function replace(
  ctx: Context,
  actor: Actor,
  {
    row,
    order,
    reason,
    identity,
  }: { row: Row; order: Checked; reason: RenewalReason; identity: RequestIdentity },
): Promise<string> {
  const place = isOwed(row, ctx.now()) ? issue : issueWithinQuota
  const { id } = await place(ctx, actor, {
    ...order,
    cause: 'renewal',
    replacesId: row.id,
    reason,
    autoRenew: row.autoRenew,
    ...identity,
  })
  await retire(ctx.db.read, row.id)
  await ctx.db.transaction((tx) => tellDeliveries(tx, row.id))
  return id
}

/** Where the one before lies as a Secret, the next one is to; if this is lost, the next look finds it. */
async function tellDeliveries(tx: Tx, certificateId: string): Promise<void> {
  const targets = await tx.deliveryTarget.findMany({
    where: { wanted: true, delivery: { certificateId } },
    select: { id: true, clusterId: true },
  })
  const keys = targets.map(({ id: targetId, clusterId }) => ({ targetId, clusterId }))
  await dueMany(tx, 'delivery.reconcile', keys)
}

/** Whether it may be replaced whatever the quota says: nothing that is in use ever ends because its
 *  tenant has ordered too much. */
function isOwed({ status, renewAt, replacementId, issuer }: Row, now: Date): boolean {
  const isDue = renewAt !== null && renewAt <= now
  const issuerSigns = issuer.key.issuers.length > 0
  return isDue || status === 'revoked' || replacementId !== null || !issuerSigns
}

/** Renewed once; if this is lost, the next look at it finds what took its place. */
async function retire(tx: Tx, id: string): Promise<void> {
  await tx.certificate.updateMany({ where: { id }, data: { autoRenew: false, renewError: null } })
}

async function fail(ctx: Context, row: Row, error: Problem): Promise<void> {
  const renewFailures = row.renewFailures + 1
  const renewAfter = new Date(ctx.now().getTime() + backoff(renewFailures))
  await ctx.db.transaction(async (tx) => {
    await tx.certificate.updateMany({
      where: { id: row.id, renewFailures: row.renewFailures },
      data: { renewFailures, renewAfter, renewError: error.message },
    })
    await due(tx, 'certificate.renew', { certificateId: row.id }, renewAfter)
  })
}

import { isDeepStrictEqual } from 'node:util'
import { type Context, newId } from '../../core/context.ts'
import { bytes, isDuplicate, sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { makeKey } from '../../core/keys/make.ts'
import { specOf } from '../../hosts/find.ts'
import { hour } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { writeRequest } from '../../x509/certificates/asking.ts'
import { openKey } from '../../x509/keys/generate.ts'
import { keySigner } from '../../x509/keys/sign.ts'
import { type CertificateNeed, certificateNeed } from '../hosts/need.ts'
import { type CertifiedHost, type Elsewhere, heldBy } from '../hosts/order.ts'
import { withIssuer } from '../renewal/rules.ts'

/** A host that needs a certificate of a CA elsewhere. */
type Needed = Elsewhere & { readonly host: CertifiedHost; readonly need: CertificateNeed }

/** The certificate that the CA has issued for what the host needs; null while it is ordered: the job of the order makes
 *  the host due again. What was ordered and is not wanted any more is dropped. Throws certificate-refused. */
export async function orderElsewhere(ctx: Context, needed: Needed): Promise<string | null> {
  const { host, elsewhere } = needed
  const fresh = await issuedFor(ctx, ctx.db.read, needed)
  if (fresh !== undefined) return fresh
  const { names, keyAlgorithm } = elsewhere.request
  const underway = await ctx.db.read.caOrder.findFirst({
    where: { hostId: host.id, endedAt: null },
  })
  const same =
    underway !== null &&
    underway.authorityId === elsewhere.authority.id &&
    underway.keyAlgorithm === keyAlgorithm &&
    isDeepStrictEqual(underway.names.toSorted(), [...names.dnsNames].toSorted())
  if (underway && same) return null
  await refuseBurning(ctx, needed)
  const made = await prepared(ctx, needed)
  try {
    return await ctx.db.transaction(async (tx) => {
      if (underway) await dropOrder(tx, underway.id, ctx.now())
      const orderId = await store(ctx, tx, needed, made)
      // The order that was under way may have ended with a certificate between the two looks: that one is taken.
      const issued = await issuedFor(ctx, tx, needed)
      if (issued === undefined) await due(tx, 'ca.order', { orderId })
      else await tx.caOrder.delete({ where: { id: orderId } })
      return issued ?? null
    })
  } catch (error) {
    // Another was first: that one is under way.
    if (!isDuplicate(error)) throw error
    return null
  }
}

/** The problem of whoever wants to have at once what a CA elsewhere takes its time for. */
export function orderedElsewhere(authority: string): Problem {
  return new Problem(
    'certificate-ordered',
    `It is ordered of "${authority}", a CA elsewhere: the host gets it when the CA has issued it, and its status says how that goes`,
  )
}

/** The newest certificate that was issued for the host elsewhere, if it fits and is not the one that it has. */
async function issuedFor(
  ctx: Context,
  tx: Tx,
  { host, elsewhere }: Needed,
): Promise<string | undefined> {
  const newest = await tx.certificate.findFirst({
    where: {
      ...{ hostId: host.id, authorityId: elsewhere.authority.id, status: 'active' },
      ...(host.certificateId === null ? {} : { id: { gt: host.certificateId } }),
    },
    include: withIssuer,
    orderBy: { id: 'desc' },
  })
  if (!newest || newest.id === host.certificateId) return undefined
  const held = heldBy({ certificate: newest }, { allowed: true, windows: undefined })
  const days = elsewhere.request.validityDays
  const wanted = { name: host.name, spec: specOf(host), days, now: ctx.now() }
  // One that is due as it comes is the best that the CA has.
  const need = certificateNeed(held, wanted)
  return need?.urgent ? undefined : newest.id
}

type Made = { readonly csr: Buffer; readonly pkcs8: Buffer }

async function prepared(ctx: Context, { elsewhere }: Needed): Promise<Made> {
  const { request, tenant } = elsewhere
  const encoded = await makeKey(ctx, request.keyAlgorithm, { tenantId: tenant.id, unasked: true })
  const pkcs8 = Buffer.from(encoded.pkcs8)
  const { privateKey } = openKey(encoded)
  const { spki } = encoded
  const csr = await writeRequest(keySigner(privateKey), { spki, dnsNames: request.names.dnsNames })
  return { csr, pkcs8 }
}

/** The order, its key sealed and its request signed, before the CA hears of it; answers its id. */
async function store(
  ctx: Context,
  tx: Tx,
  { host, need, elsewhere }: Needed,
  { csr, pkcs8 }: Made,
): Promise<string> {
  const now = ctx.now()
  const id = newId(now)
  const { request, authority } = elsewhere
  await tx.caOrder.create({
    data: {
      ...{ id, tenantId: host.tenantId, hostId: host.id, authorityId: authority.id },
      ...{ names: [...request.names.dnsNames], keyAlgorithm: request.keyAlgorithm },
      ...{ csr: bytes(csr), state: 'new', createdAt: now },
      ...{ replacesId: host.certificateId, reason: host.certificateId ? need.reason : null },
    },
  })
  const sealed = bytes(ctx.seal.seal(`ca_order_secret/${id}`, pkcs8))
  pkcs8.fill(0)
  await tx.caOrderSecret.create({ data: { orderId: id, sealed } })
  return id
}

/** Gives up an order: what was put up for it is taken away by its job. */
export async function dropOrder(tx: Tx, id: string, now: Date): Promise<void> {
  const { count } = await tx.caOrder.updateMany({
    where: { id, endedAt: null },
    data: { state: 'dropped', endedAt: now, message: null },
  })
  if (count > 0) await due(tx, 'ca.order', { orderId: id })
}

/** So many proofs of a name may fail in an hour, whatever is changed about its host: CAs refuse names of which more
 *  do (Let's Encrypt: five in an hour). And so many certificates are had of the same names, whatever becomes of them:
 *  of those there is a bound, too. */
const mostAnHour = 4

/** Throws certificate-refused while the CA would rather not be asked again. */
async function refuseBurning(ctx: Context, { host, elsewhere }: Needed): Promise<void> {
  const { authority, request } = elsewhere
  const since = new Date(ctx.now().getTime() - hour)
  const { dnsNames } = request.names
  const names = dnsNames.map((name) => name.replace(/^\*\./, ''))
  const [found] = await ctx.db.read.$queryRaw<readonly { name: string; failed: number }[]>(sql`
    select "name", count(*)::int as failed from ca_challenge
    where "authorityId" = ${authority.id}::uuid and "name" = any(${names})
      and "outcome" = 'invalid' and "createdAt" > ${since}::timestamptz
    group by "name" having count(*) >= ${mostAnHour}::int order by "name" limit 1`)
  const pause = `no more is asked of "${authority.name}" for a while, so that it does not refuse the name`
  if (found) {
    const proofs = `${found.failed} proofs of ${found.name} have failed`
    throw new Problem('certificate-refused', `${proofs} within an hour: ${pause}`)
  }
  const issued = await ctx.db.read.caOrder.count({
    where: {
      ...{ hostId: host.id, authorityId: authority.id, state: 'issued', endedAt: { gt: since } },
      names: { hasEvery: [...dnsNames] },
    },
  })
  if (issued < mostAnHour) return
  const had = `${issued} certificates of ${dnsNames[0]} were issued`
  throw new Problem('certificate-refused', `${had} within an hour: ${pause}`)
}

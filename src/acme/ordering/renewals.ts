import Type from 'typebox'
import { spreadOf } from '../../certificates/renewal/rules.ts'
import type { Context } from '../../core/context.ts'
import { day, hour } from '../../shared/moment.ts'
import { conforms } from '../../shared/shape.ts'
import { readCertificate } from '../../x509/certificates/read.ts'
import { directoryOf, jsonIn, openCaSession } from '../client/protocol.ts'
import { CaRefusal, retryAfterOf } from '../client/refusal.ts'
import { askCa } from '../client/request.ts'

/** By what a CA knows a certificate whose renewal it is asked about (RFC 9773 4.1); undefined: it has no
 *  authorityKeyIdentifier. */
export function renewalIdOf(der: Uint8Array): string | undefined {
  const { authorityKeyIdentifier, serial } = readCertificate(Buffer.from(der))
  if (!authorityKeyIdentifier) return undefined
  const octets = Buffer.from(serial, 'hex')
  const contents = (octets[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), octets]) : octets
  return `${authorityKeyIdentifier.toString('base64url')}.${contents.toString('base64url')}`
}

const Info = Type.Object({
  suggestedWindow: Type.Object({ start: Type.String(), end: Type.String() }),
})

/** How many are asked about by one turn, and when again where the CA does not say (RFC 9773 4.3). */
const batchSize = 50
const pause = { usual: 6 * hour, least: 60_000, most: day } as const

/** Asks CAs elsewhere when certificates of theirs are best renewed (RFC 9773), each as often as its CA says, and has them
 *  renewed at a moment of their own within that window. Where nothing is answered, two thirds of their life stand.
 *  Answers how many were asked about. */
export async function askRenewals(ctx: Context): Promise<number> {
  const now = ctx.now()
  const rows = await ctx.db.read.caOrder.findMany({
    where: {
      state: 'issued',
      OR: [{ renewalAskAt: null }, { renewalAskAt: { lte: now } }],
      certificate: { status: 'active', autoRenew: true, notAfter: { gt: now } },
    },
    include: { certificate: { select: { id: true, der: true, serial: true, notAfter: true } } },
    orderBy: { renewalAskAt: { sort: 'asc', nulls: 'first' } },
    take: batchSize,
  })
  for (const { id, authorityId, certificate } of rows) {
    const { at, retryAfter } = certificate?.der
      ? await askAbout(ctx, authorityId, { ...certificate, der: certificate.der })
      : { at: undefined, retryAfter: undefined }
    const next = Math.min(Math.max(retryAfter ?? pause.usual, pause.least), pause.most)
    await ctx.db.transaction(async (tx) => {
      const renewalAskAt = new Date(now.getTime() + next)
      await tx.caOrder.update({ where: { id }, data: { renewalAskAt } })
      if (!at || !certificate) return
      const where = { id: certificate.id, status: 'active', autoRenew: true }
      await tx.certificate.updateMany({ where, data: { renewAt: at } })
    })
  }
  return rows.length
}

type Asked = { readonly der: Uint8Array; readonly serial: string; readonly notAfter: Date }

async function askAbout(
  ctx: Context,
  authorityId: string,
  { der, serial, notAfter }: Asked,
): Promise<{ readonly at: Date | undefined; readonly retryAfter: number | undefined }> {
  const nothing = { at: undefined, retryAfter: undefined }
  try {
    const session = await openCaSession(ctx, authorityId)
    const renewalInfo = session && (await directoryOf(ctx, session)).renewalInfo
    const id = renewalIdOf(der)
    if (!session || renewalInfo === undefined || id === undefined) return nothing
    const { trustedRoots } = session
    const url = `${renewalInfo.replace(/\/$/, '')}/${id}`
    const answer = await askCa(ctx.config, { method: 'GET', url, trustedRoots })
    const retryAfter = retryAfterOf(answer.headers['retry-after'], ctx.now())
    const info = jsonIn(answer)
    if (answer.status !== 200 || !conforms(Info, info)) return { at: undefined, retryAfter }
    const start = Date.parse(info.suggestedWindow.start)
    const end = Date.parse(info.suggestedWindow.end)
    if (!(start < end)) return { at: undefined, retryAfter }
    const at = start + (end - start) * spreadOf(serial)
    // Whatever it says, nothing is left to end.
    return { at: new Date(Math.min(at, notAfter.getTime() - hour)), retryAfter }
  } catch (error) {
    if (!(error instanceof CaRefusal)) throw error
    return { at: undefined, retryAfter: error.retryAfter }
  }
}

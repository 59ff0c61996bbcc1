import { cachedFor, cacheMilliseconds } from '../../core/cache.ts'
import type { Context } from '../../core/context.ts'
import { hour } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { readCertificate } from '../../x509/certificates/read.ts'
import { X509Error } from '../../x509/der/errors.ts'
import {
  asksAbout,
  buildOcspResponse,
  type CertId,
  type IssuerHashes,
  issuerHashes,
  type OcspAnswer,
  type OcspRequest,
  ocspError,
  readOcspRequest,
} from '../../x509/ocsp.ts'
import { nothingPublished } from '../published.ts'
import { openResponder, type Responder } from './responder.ts'
import { statusOf } from './status.ts'

/** An OCSPResponse in DER; `period` is there when others may be given the same answer. */
export type OcspReply = {
  readonly der: Buffer
  readonly period?: { readonly thisUpdate: Date; readonly nextUpdate: Date }
}

/** An answer holds for half a day: long enough for a server that staples it to survive an outage of
 *  ours, and made afresh for everyone who asks. */
const lifetime = 12 * hour

/** Answers an OCSPRequest about certificates of an authority, by the responder of the key that issued
 *  them (RFC 6960). What that key did not issue is unknown; a request about no key of this authority
 *  is unauthorized, rubbish is malformedRequest. A nonce is echoed (RFC 9654). Public. Throws
 *  authority-unknown. */
export async function answerOcsp(
  ctx: Context,
  { authority, request }: { readonly authority: string; readonly request: Buffer },
): Promise<OcspReply> {
  const asked = readable(request)
  if (!asked) return { der: ocspError('malformedRequest') }
  const issuer = (await issuersOf(ctx, authority)).find(({ hashes }) =>
    asked.asked.some((id) => asksAbout(id, hashes)),
  )
  const responder = issuer && (await responderOf(ctx, issuer.keyId))
  if (!responder) return { der: ocspError('unauthorized') }
  return answer(ctx, { ...asked, issuer, responder })
}

function readable(request: Buffer): OcspRequest | undefined {
  try {
    return readOcspRequest(request)
  } catch (error) {
    if (error instanceof X509Error) return undefined
    throw error
  }
}

type Issuer = { readonly keyId: string; readonly hashes: IssuerHashes }

/** Reading them again for each question would cost more than the answer. A name that is not there is
 *  never kept. */
const issuersOf = cachedFor(cacheMilliseconds, readIssuers)

async function readIssuers(ctx: Context, authority: string): Promise<readonly Issuer[]> {
  const rows = await ctx.db.read.issuer.findMany({
    where: { authority: { name: authority, removedAt: null } },
    orderBy: { createdAt: 'desc' },
    select: { keyId: true, der: true },
  })
  if (rows.length === 0) throw await nothingPublished(ctx.db.read, authority)
  return rows.map(({ keyId, der }) => {
    const { subjectDer, spki } = readCertificate(Buffer.from(der))
    return { keyId, hashes: issuerHashes(subjectDer, spki) }
  })
}

/** Undefined for a key that is not held here, or an authority that has ended. */
async function responderOf(ctx: Context, keyId: string): Promise<Responder | undefined> {
  try {
    const responder = await openResponder(ctx, keyId)
    return responder && responder.notAfter > ctx.now() ? responder : undefined
  } catch (error) {
    if (error instanceof Problem && error.type === 'authority-keyless') return undefined
    throw error
  }
}

type Answering = OcspRequest & { readonly issuer: Issuer; readonly responder: Responder }

async function answer(
  ctx: Context,
  { asked, nonce, issuer, responder }: Answering,
): Promise<OcspReply> {
  const now = ctx.now()
  const thisUpdate = new Date(Math.floor(now.getTime() / 1000) * 1000)
  const end = Math.min(thisUpdate.getTime() + lifetime, responder.notAfter.getTime())
  const period = { thisUpdate, nextUpdate: new Date(end) }
  const answers = await Promise.all(asked.map((id) => one(ctx, issuer, { id, period })))
  const der = await buildOcspResponse({
    answers,
    producedAt: thisUpdate,
    responderSpki: responder.spki,
    signer: responder.signer,
    certificates: [responder.der],
    ...(nonce ? { nonce } : {}),
  })
  return nonce ? { der } : { der, period }
}

async function one(
  ctx: Context,
  { keyId, hashes }: Issuer,
  { id, period }: { id: CertId; period: { thisUpdate: Date; nextUpdate: Date } },
): Promise<OcspAnswer> {
  const own = asksAbout(id, hashes)
  const status = own
    ? await statusOf(ctx, { keyId, serial: id.serial })
    : { status: 'unknown' as const }
  return { certId: id.der, ...period, ...status }
}

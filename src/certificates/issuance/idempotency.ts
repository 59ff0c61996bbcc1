import { createHash } from 'node:crypto'
import type { Context } from '../../core/context.ts'
import { bytes } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'
import { finishCertificate } from './finish.ts'

/** By what a retry finds its certificate, and by what it is seen to be the same request; in hex. */
export type RequestIdentity = { readonly requestKey: string; readonly requestHash: string }

/** The SHA-256 of these texts, in hex. */
export function requestDigest(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** Whether the request with this key has its certificate already. */
export async function isRepeated(
  ctx: Context,
  { requestKey }: Partial<RequestIdentity>,
): Promise<boolean> {
  if (requestKey === undefined) return false
  return (await ctx.db.read.certificate.count({ where: { requestKey: keyOctets(requestKey) } })) > 0
}

/** The certificate that the first request with this key made; finished here if it was cut short. Throws
 *  idempotency-mismatch. */
export async function firstCertificate(
  ctx: Context,
  { requestKey = '', requestHash }: Partial<RequestIdentity>,
): Promise<string> {
  const first = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { requestKey: keyOctets(requestKey) },
    select: { id: true, status: true, requestHash: true },
  })
  if (Buffer.from(first.requestHash ?? '').toString('hex') !== requestHash) {
    throw new Problem(
      'idempotency-mismatch',
      'This Idempotency-Key came with another request before; use a new key for a new request',
    )
  }
  if (first.status === 'signing') await finishCertificate(ctx, first.id)
  return first.id
}

function keyOctets(requestKey: string) {
  return bytes(Buffer.from(requestKey, 'hex'))
}

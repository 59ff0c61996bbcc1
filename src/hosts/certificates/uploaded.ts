import { sql, type Tx } from '../../core/database/db.ts'
import type { Violation } from '../../shared/problem.ts'
import { type CompleteSpec, namesOf } from '../host.ts'
import { certifies } from '../request/hostname.ts'
import { type LineMember, newestInLine } from './line.ts'

/** What an uploaded certificate is to serve. */
export type Serving = {
  readonly tenantId: string
  readonly name: string
  readonly spec: Pick<CompleteSpec, 'aliases' | 'tls'>
}

const field = '/certificate/uploaded'

/** The certificate that a host has by this id, the newest of those that took its place, and why it could not serve
 *  the host: of one that is another tenant's nothing is told. */
export async function uploadedFor(
  tx: Tx,
  id: string,
  asked: Serving & { readonly now: Date },
): Promise<{ readonly newest: LineMember | undefined; readonly faults: readonly Violation[] }> {
  const newest = await newestInLine(tx, id)
  if (!newest || newest.tenantId !== asked.tenantId || newest.cause === 'probe') {
    const message =
      'There is no uploaded certificate of this id: upload it first (POST …/certificates:import)'
    return { newest: undefined, faults: [{ field, message }] }
  }
  const isServed = await isServedBy(tx, newest.id, asked)
  // Whoever serves it goes on, until another one takes its place: no host is taken away from its clients for that.
  const faults = isServed ? [] : blockedFaults(newest)
  return { newest, faults: [...servingFaults(newest, asked), ...faults] }
}

/** Why nothing may begin to use this certificate: its key is blocked, and its CA alone can revoke it. */
function blockedFaults({
  keyBlockedSince,
  uploaded,
}: Pick<LineMember, 'keyBlockedSince' | 'uploaded'>): readonly Violation[] {
  if (keyBlockedSince === null || uploaded === '') return []
  return [{ field, message: blockedSentence(keyBlockedSince) }]
}

/** How the sentence about a blocked key begins. */
export const keyIsBlocked = 'The key of the uploaded certificate is blocked'

/** What is said where an uploaded certificate has a key that is blocked. */
export function blockedSentence(since: Date): string {
  return `${keyIsBlocked} since ${since.toISOString()}, since somebody else may have it: have its CA revoke it, and upload a successor with another key (replaces)`
}

async function isServedBy(tx: Tx, id: string, { tenantId, name }: Serving): Promise<boolean> {
  const where = { tenantId_name: { tenantId, name } }
  const host = await tx.host.findUnique({ where, select: { certificateId: true } })
  return host?.certificateId === id
}

/** What of a certificate decides which hosts it can serve. */
export type Servable = Pick<
  LineMember,
  'uploaded' | 'notAfter' | 'keyAlgorithm' | 'serial' | 'dnsNames'
>

/** Why a certificate cannot serve a host, all together. */
export function servingFaults(
  certificate: Servable,
  { name, spec, now }: Pick<Serving, 'name' | 'spec'> & { readonly now: Date },
): readonly Violation[] {
  const { uploaded, notAfter, keyAlgorithm, serial, dnsNames } = certificate
  if (uploaded === '') {
    const message =
      'It was issued here: name one that was uploaded, or leave this out, and the host is issued one of its own'
    return [{ field, message }]
  }
  const which = `The uploaded certificate (serial ${serial})`
  const uncovered = namesOf(name, spec).filter(
    (wanted) => !dnsNames.some((each) => certifies(each, wanted)),
  )
  return [
    ...(notAfter > now
      ? []
      : [
          `${which} ended at ${notAfter.toISOString()}: upload its successor, which takes its place (replaces)`,
        ]),
    ...(uncovered.length === 0
      ? []
      : [
          `${which} is not for ${uncovered.join(', ')}, only for ${dnsNames.slice(0, 10).join(', ')}${dnsNames.length > 10 ? ' …' : ''}`,
        ]),
    ...(keyAlgorithm === 'ED25519' && spec.tls.mode !== 'PASSTHROUGH'
      ? [`${which} has an Ed25519 key, and Envoy serves RSA and ECDSA keys only`]
      : []),
  ].map((message) => ({ field, message }))
}

/** Keeps a certificate from being removed, or getting a successor, until the transaction ends. */
export async function holdUploaded(tx: Tx, id: string): Promise<void> {
  await tx.$executeRaw(sql`select 1 from certificate where "id" = ${id}::uuid for key share`)
}

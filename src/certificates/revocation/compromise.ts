import { record } from '../../audit/record.ts'
import { blockCompromised } from '../../authorities/keys/blocked.ts'
import { giveAwayKey, heldByOthers } from '../../authorities/keys/holders.ts'
import type { Actor } from '../../core/actor.ts'
import type { Tx } from '../../core/database/db.ts'
import { orRefuse } from '../../core/refusal.ts'
import { brokenRules } from '../../shared/brokenrules.ts'
import { refuse } from '../../shared/problem.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { readRequest } from '../../x509/certificates/request.ts'

/** A certificate that was revoked because its key is known. */
export type Compromised = {
  readonly tenantId: string
  readonly serial: string
  readonly spkiSha256: string
}

/** Who says so, when, and whether they showed that they have the key. */
export type Accusation = { readonly actor: Actor; readonly now: Date; readonly proven: boolean }

/** What follows for the key of a certificate that was revoked for keyCompromise, in that transaction: it
 *  is blocked, which revokes all that has it. Whoever has a certificate need not have its key, since a
 *  CSR can be sent by anyone; so where other tenants hold the key too, that takes the platform or a
 *  proof, and the tenant's word is only about its own: answers whether that is so. */
export async function onCompromise(
  tx: Tx,
  { actor, now, proven }: Accusation,
  row: Compromised,
): Promise<'blocked' | 'own'> {
  const trusted = proven || actor.tenantId === null
  if (trusted || !(await heldByOthers(tx, { ...row, now }))) {
    await blockCompromised(tx, { actor, now }, row)
    return 'blocked'
  }
  await giveAwayKey(tx, row)
  const { spkiSha256 } = row
  await record(tx, { actor, now }, 'key.compromise-reported', {
    subject: { kind: 'key', id: spkiSha256, name: spkiSha256.slice(0, 16), tenantId: null },
    changes: { serial: row.serial, blocked: false },
  })
  return 'own'
}

/** Reads the proof that somebody has the private key of a certificate: a CSR that this key signed, and
 *  that can have been made for nothing else, since its commonName is the certificate's serial. Throws
 *  request-invalid. */
export function readProof(
  proof: string,
  { serial, spkiSha256 }: Omit<Compromised, 'tenantId'>,
): void {
  const request = orRefuse('request-invalid', '/proof', () => readRequest(proof))
  const faults = brokenRules([
    [
      fingerprintSha256(request.spki) !== spkiSha256,
      'The CSR is not signed by the key of the certificate',
    ],
    [
      request.subject.commonName?.toLowerCase() !== serial,
      `The commonName of the CSR is not the serial of the certificate: make one for /CN=${serial}`,
    ],
  ])
  refuse(
    'request-invalid',
    faults.map((message) => ({ field: '/proof', message })),
  )
}

import { signInTurn } from '../../authorities/keys/signer.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { assemble } from '../../x509/keys/sign.ts'
import { type Reserved, type ReservedRow, takeReserved } from './reserve.ts'

const signedHere = Symbol('signed')

/** A certificate with its signature. Only `sign` makes one. */
export type Signed = {
  readonly [signedHere]: true
  readonly row: ReservedRow
  /** The name of its authority. */
  readonly authority: string
  readonly der: Buffer
  readonly fingerprintSha256: string
}

/** Signs exactly the bytes that are on record, once. */
export async function sign(reserved: Reserved): Promise<Signed> {
  const { row, authority, tbs, signer } = takeReserved(reserved)
  const signature = await signInTurn(signer, { party: row.tenantId, bytes: tbs })
  const der = assemble(tbs, signer.algorithm, signature)
  return { [signedHere]: true, row, authority, der, fingerprintSha256: fingerprintSha256(der) }
}

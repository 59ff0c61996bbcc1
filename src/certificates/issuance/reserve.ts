import Value from 'typebox/value'
import { takenKey } from '../../authorities/keys/holders.ts'
import { openSigner } from '../../authorities/keys/signer.ts'
import { Actor, systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import type { Signer } from '../../x509/keys/sign.ts'
import { type Prepared, takePrepared } from './prepare.ts'
import { issueStore, type Reservation } from './store.ts'

const reservedHere = Symbol('reserved')

/** A certificate that is on record and not signed yet. Only this module makes one, and it is signed
 *  once. */
export type Reserved<Row extends ReservedRow = ReservedRow> = {
  readonly [reservedHere]: true
  readonly row: Row
  /** The name of its authority. */
  readonly authority: string
  readonly tbs: Buffer
  readonly signer: Signer
}

/** What is known of it when it is signed and recorded. */
export type ReservedRow = Omit<
  Reservation,
  'tbs' | 'requestKey' | 'requestHash' | 'sealed' | 'subject' | 'labels' | 'renewAt'
>

const unsigned = new WeakSet<Reserved>()

/** Takes a certificate that is on record, to be signed. A second time, or of a copy, it throws. */
export function takeReserved<Row extends ReservedRow>(reserved: Reserved<Row>): Reserved<Row> {
  if (unsigned.delete(reserved)) return reserved
  throw new Error('a certificate is signed once, as it was reserved')
}

/** Stores the row with the exact bytes to be signed, before the CA key is used. Undefined when this
 *  request has its certificate already. Throws certificate-refused for a key that is not the tenant's to
 *  have certified, authority-unknown for an authority that was removed meanwhile. */
export async function reserve(
  ctx: Context,
  prepared: Prepared,
): Promise<Reserved<Reservation> | undefined> {
  const { reservation, order, tbs } = takePrepared(prepared)
  const { name } = order.authority
  const outcome = await issueStore(ctx).reserve(reservation)
  if (outcome === 'taken') refuse('certificate-refused', [{ field: '/csr', message: takenKey }])
  if (outcome === 'gone') {
    throw new Problem('authority-unknown', `There is no authority "${name}" any more`)
  }
  if (outcome === 'known') return undefined
  const { signer } = order.issuer
  return reserved({ row: reservation, authority: name, tbs, signer })
}

/** A reservation that a process left behind when it ended; undefined when it has been signed. */
export async function findReserved(ctx: Context, id: string): Promise<Reserved | undefined> {
  const row = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id },
    include: { authority: { select: { name: true } }, issuer: { select: { keyId: true } } },
  })
  const { authorityId, authority, tbs, issuerId, issuer } = row
  if (row.status !== 'signing' || !tbs || issuerId === null || !issuer) return undefined
  if (authorityId === null || !authority) return undefined
  const signer = await openSigner(ctx, issuer.keyId)
  return reserved({
    row: { ...row, authorityId, issuerId, actor: actorOf(row) },
    authority: authority.name,
    tbs: Buffer.from(tbs),
    signer,
  })
}

function reserved<Row extends ReservedRow>(
  parts: Omit<Reserved<Row>, typeof reservedHere>,
): Reserved<Row> {
  const made: Reserved<Row> = { [reservedHere]: true, ...parts }
  unsigned.add(made)
  return made
}

/** Releases before this one did not store who asked. */
function actorOf({ actor }: { readonly actor: unknown }): Actor {
  return actor === null ? systemActor('certificate.finish') : Value.Parse(Actor, actor)
}

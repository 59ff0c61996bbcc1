import { revokeCertificate } from '../../certificates/revocation/revoke.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { type ParsedCertificate, readCertificate } from '../../x509/certificates/read.ts'
import { type RevocationReason, reasonOf } from '../../x509/crl/reasons.ts'
import { X509Error } from '../../x509/der/errors.ts'
import type { AccountRow } from '../accounts/find.ts'
import { AcmeProblem } from '../problem.ts'
import { nothingHere } from './find.ts'

/** Who asks for a revocation: an account, or whoever has the key of the certificate (SubjectPublicKeyInfo). */
export type Revoker =
  | { readonly account: AccountRow; readonly actor: Actor }
  | { readonly spki: Buffer; readonly requestId: string }

/** Which certificate (DER) of which authority, and why (RFC 8555 7.6). */
export type AcmeRevocation = {
  readonly authority: string
  readonly der: Buffer
  readonly reason: number
}

/** Revokes a certificate for the account that it was issued to, one of the same key, or whoever shows its private key. Throws
 *  unauthorized, alreadyRevoked, badRevocationReason, malformed. */
export async function revokeForClient(
  ctx: Context,
  revoker: Revoker,
  { authority, der, reason: number }: AcmeRevocation,
): Promise<void> {
  const reason = knownReason(number)
  const certificate = certificateIn(der)
  const row = await findIssued(ctx, authority, certificate)
  refuseOthers(revoker, row, certificate)
  if (row.status === 'revoked') throw new AcmeProblem('alreadyRevoked', 'It is revoked already')
  const { id, tenant } = row
  const byAccount = 'account' in revoker
  const actor = byAccount ? revoker.actor : holderOf(row, revoker.requestId)
  try {
    await revokeCertificate(ctx, actor, {
      tenant: tenant.name,
      id,
      reason,
      signedByKey: !byAccount,
    })
  } catch (error) {
    const ended = error instanceof Problem && error.type === 'certificate-expired'
    throw ended ? new AcmeProblem('malformed', error.message) : error
  }
}

const known: ReadonlySet<string> = new Set([
  ...['unspecified', 'keyCompromise', 'affiliationChanged', 'superseded'],
  ...['cessationOfOperation', 'privilegeWithdrawn'],
])

/** Of a CA or an attribute authority a client says nothing. */
function isOfLeaf(reason: string | undefined): reason is RevocationReason {
  return reason !== undefined && known.has(reason)
}

function knownReason(number: number): RevocationReason {
  const reason = reasonOf(number)
  if (isOfLeaf(reason)) return reason
  throw new AcmeProblem('badRevocationReason', `${number} is none of 0, 1, 3, 4, 5 and 9`)
}

type Issued = Awaited<ReturnType<typeof findIssued>>

async function findIssued(ctx: Context, authority: string, { der, serial }: ParsedCertificate) {
  const row = await ctx.db.read.certificate.findUnique({
    where: { serial_uploaded: { serial, uploaded: '' } },
    select: {
      ...{ id: true, tenantId: true, status: true, serial: true, der: true },
      authority: { select: { name: true } },
      tenant: { select: { name: true } },
      acmeOrders: { select: { account: { select: { keyId: true } } } },
    },
  })
  if (row?.der && der.equals(row.der) && row.authority?.name === authority) return row
  throw nothingHere('certificate')
}

function certificateIn(der: Buffer): ParsedCertificate {
  try {
    return readCertificate(der)
  } catch (error) {
    if (!(error instanceof X509Error)) throw error
    throw new AcmeProblem('malformed', `certificate: ${error.message}`)
  }
}

function refuseOthers(revoker: Revoker, row: Issued, { spki }: ParsedCertificate): void {
  const may =
    'account' in revoker
      ? row.acmeOrders.some(({ account }) => account.keyId === revoker.account.keyId)
      : spki.equals(revoker.spki)
  if (may) return
  throw new AcmeProblem('unauthorized', 'It was not issued to this account, nor is this its key')
}

/** Who has the key of a certificate, and no account. */
function holderOf({ tenantId, serial }: Issued, requestId: string): Actor {
  return {
    ...{ kind: 'acme-account', id: null, name: `key of ${serial}`, role: 'operator' },
    ...{ tenantId, requestId },
  }
}

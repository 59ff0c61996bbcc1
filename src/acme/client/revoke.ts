import { record } from '../../audit/record.ts'
import { certificateName } from '../../certificates/name.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { due } from '../../core/database/due.ts'
import { hour } from '../../shared/moment.ts'
import { oneOf } from '../../shared/oneof.ts'
import { reasonNumbers, settableReasons } from '../../x509/crl/reasons.ts'
import { accountFault } from './accountfault.ts'
import { type CaSession, directoryOf, openCaSession, postTo } from './protocol.ts'
import { CaRefusal, isPassing } from './refusal.ts'

const pauseMilliseconds = 60_000

/** Tells the CA elsewhere that a certificate is revoked (RFC 8555 7.6), which was recorded here before: said twice it is
 *  revoked once. While the CA is away this is due again, until the certificate has ended; what it refuses is in the audit
 *  trail. */
export async function revokeAtCa(ctx: Context, certificateId: string): Promise<void> {
  const row = await ctx.db.read.certificate.findUnique({
    where: { id: certificateId, status: 'revoked', issuerId: null, notAfter: { gt: ctx.now() } },
  })
  if (!row?.der || row.authorityId === null) return
  const session = await openCaSession(ctx, row.authorityId)
  if (!session) return
  const certificate = Buffer.from(row.der).toString('base64url')
  const reason = reasonNumbers[oneOf(settableReasons, row.revocationReason ?? 'unspecified')]
  const now = ctx.now()
  try {
    const { revokeCert: url } = await directoryOf(ctx, session)
    await postTo(ctx, session, { url, payload: { certificate, reason } })
    await told('certificate.revoked-at-ca', {})
  } catch (error) {
    if (!(error instanceof CaRefusal)) throw error
    if (error.problem === 'alreadyRevoked') return
    const passes = isPassing(error) || (await isOfAccount(ctx, session, error))
    if (!passes) {
      await told('certificate.revocation-refused', { problem: error.problem, why: error.message })
      return
    }
    const pause = isPassing(error) ? pauseMilliseconds : hour
    const at = new Date(now.getTime() + Math.max(error.retryAfter ?? 0, pause))
    await ctx.db.transaction((tx) => due(tx, 'ca.revoke', { certificateId }, at))
  }

  async function told(
    action: 'certificate.revoked-at-ca' | 'certificate.revocation-refused',
    more: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { serial, tenantId } = row ?? {}
    if (!row || !serial || !tenantId) return
    await ctx.db.transaction((tx) =>
      record(tx, { actor: systemActor('ca.revoke'), now }, action, {
        subject: { kind: 'certificate', id: certificateId, name: certificateName(row), tenantId },
        changes: { serial, ...more },
      }),
    )
  }
}

/** Whether it was refused for the account, which may be mended; as long as that cannot be asked, it may be. */
async function isOfAccount(ctx: Context, session: CaSession, error: CaRefusal): Promise<boolean> {
  try {
    return (await accountFault(ctx, session, error)) !== undefined
  } catch (other) {
    if (!(other instanceof CaRefusal)) throw other
    return true
  }
}

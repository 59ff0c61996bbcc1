import Value from 'typebox/value'
import { openSigner } from '../../authorities/keys/signer.ts'
import { Actor, systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { assemble } from '../../x509/keys/sign.ts'
import { factsOf, nameOf } from '../facts.ts'
import { issueStore } from './store.ts'

/** How long a request may take before its certificate is settled without it. */
const patience = 120_000

/** Settles certificates that were left `signing` by a process that ended. Answers how many. */
export async function finishCertificates(ctx: Context): Promise<number> {
  const left = await ctx.db.read.certificate.findMany({
    where: { tbs: { not: null }, createdAt: { lt: new Date(ctx.now().getTime() - patience) } },
    select: { id: true },
    orderBy: { createdAt: 'asc' },
    take: 500,
  })
  for (const { id } of left) await finishCertificate(ctx, id)
  return left.length
}

/** Signs exactly the bytes that were stored, unless that has been done, and activates the row. The audit
 *  trail names who asked for it, not who finishes it. */
export async function finishCertificate(ctx: Context, id: string): Promise<void> {
  const row = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id },
    include: {
      authority: { select: { name: true } },
      issuer: { select: { keyId: true } },
    },
  })
  if (row.status !== 'signing' || row.tbs === null) return
  const signer = await openSigner(ctx, row.issuer.keyId)
  const tbs = Buffer.from(row.tbs)
  const der = assemble(tbs, signer.algorithm, await signer.sign(tbs))
  await issueStore(ctx).complete({
    id,
    der: der.toString('base64'),
    fingerprintSha256: fingerprintSha256(der),
    at: ctx.now(),
    actor: actorOf(row),
    tenantId: row.tenantId,
    name: nameOf(row),
    changes: factsOf(row, row.authority.name),
  })
}

/** Releases before this one did not store who asked. */
function actorOf({ actor }: { readonly actor: unknown }): Actor {
  return actor === null ? systemActor('certificate.finish') : Value.Parse(Actor, actor)
}

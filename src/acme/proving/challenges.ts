import { createHash } from 'node:crypto'
import { CaChallengeSettings } from '../../authorities/acme/schema.ts'
import { secretsOfCa } from '../../authorities/acme/secrets.ts'
import type { Context } from '../../core/context.ts'
import { must } from '../../shared/must.ts'
import { shownJson } from '../../shared/view.ts'
import { CaRefusal } from '../client/refusal.ts'
import { isInDns, recordName } from './dns.ts'
import { pushChallenges, unanswering } from './gateways.ts'
import { updateDns } from './rfc2136/update.ts'
import { tellWebhook } from './webhook.ts'

/** A challenge as it is recorded. */
export type ChallengeRow = Awaited<
  ReturnType<Context['db']['read']['caChallenge']['findMany']>
>[number]

/** Puts up what the CA will look for. Said twice it is there once. Throws CaRefusal. */
export async function present(ctx: Context, challenge: ChallengeRow): Promise<void> {
  const { id, hostId, type } = challenge
  if (type === 'dns-01') await tellDns(ctx, challenge, 'present')
  await ctx.db.transaction(async (tx) => {
    await tx.caChallenge.update({ where: { id }, data: { presentedAt: ctx.now() } })
    if (type === 'http-01') await pushChallenges(tx, hostId)
  })
}

/** What is waited for until the CA may look; undefined: all that it may ask answers as it should. */
export async function awaited(ctx: Context, challenge: ChallengeRow): Promise<string | undefined> {
  const { type, name, presentedAt } = challenge
  if (type === 'dns-01') {
    const there = await isInDns(ctx, name, dnsValue(challenge))
    return there ? undefined : `the servers of its zone do not answer with ${recordName(name)} yet`
  }
  const silent = await unanswering(ctx, {
    ...challenge,
    presentedAt: must(presentedAt, 'it was put up'),
  })
  if (silent.length === 0) return undefined
  return `its challenge is not answered at port 80 on ${silent.slice(0, 5).join(', ')} yet`
}

/** Takes it away again. Throws CaRefusal. */
export async function cleanUp(ctx: Context, challenge: ChallengeRow): Promise<void> {
  const { id, hostId, type } = challenge
  if (type === 'dns-01') await tellDns(ctx, challenge, 'cleanup')
  await ctx.db.transaction(async (tx) => {
    await tx.caChallenge.update({ where: { id }, data: { cleanedAt: ctx.now() } })
    if (type === 'http-01') await pushChallenges(tx, hostId)
  })
}

/** RFC 8555 8.4. */
function dnsValue({ keyAuthorization }: ChallengeRow): string {
  return createHash('sha256').update(keyAuthorization).digest('base64url')
}

async function tellDns(
  ctx: Context,
  challenge: ChallengeRow,
  action: 'present' | 'cleanup',
): Promise<void> {
  const { authorityId, id, name: domain } = challenge
  const row = await ctx.db.read.caAccount.findUniqueOrThrow({
    where: { authorityId },
    select: { challenge: true, authority: { select: { name: true } } },
  })
  const secrets = await secretsOfCa(ctx, ctx.db.read, authorityId)
  const { webhook, rfc2136 } = shownJson(CaChallengeSettings, row.challenge)
  const record = {
    ...{ action, id, authority: row.authority.name, domain },
    ...{ name: recordName(domain), value: dnsValue(challenge) },
  }
  if (webhook && secrets?.webhookSecret !== undefined) {
    return tellWebhook(ctx, { url: webhook.url, secret: secrets.webhookSecret }, record)
  }
  if (rfc2136 && secrets?.tsigSecret !== undefined) {
    return updateDns(ctx, { ...rfc2136, secret: secrets.tsigSecret }, record)
  }
  // What was put up for an account that was given up, or is proved by http-01 now, nobody can take away.
  if (action === 'cleanup') return
  const text = `"${record.authority}" has nothing that answers dns-01 any more`
  throw new CaRefusal('dnsUpdate', text, { status: 403 })
}

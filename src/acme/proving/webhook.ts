import type { Context } from '../../core/context.ts'
import { webhookMessage } from '../../core/outgoing/webhook.ts'
import { CaRefusal } from '../client/refusal.ts'
import { askCa } from '../client/request.ts'

/** What is to be in DNS, or no longer. */
export type DnsRecord = {
  readonly action: 'present' | 'cleanup'
  /** The id of the challenge: the same however often it is asked. */
  readonly id: string
  readonly authority: string
  /** The name that is proved, without the *. of a wildcard. */
  readonly domain: string
  readonly name: string
  readonly value: string
}

/** Asks whoever keeps the DNS to put a TXT record there, or to take it away: one POST of JSON, signed as Standard
 *  Webhooks has it, which is answered 2xx when that is done. Throws CaRefusal. */
export async function tellWebhook(
  ctx: Context,
  { url, secret }: { readonly url: string; readonly secret: string },
  { action, id, authority, domain, name, value }: DnsRecord,
): Promise<void> {
  const at = ctx.now()
  const payload = {
    type: `dns-01.${action}`,
    timestamp: at.toISOString(),
    data: { authority, domain, record: { name, type: 'TXT', value, ttl: 60 } },
  }
  const { headers, body } = webhookMessage(payload, {
    ...{ id: `dns_${id}_${action}`, at, secrets: [secret] },
  })
  const answer = await askCa(ctx.config, {
    ...{ method: 'POST', url, body },
    headers: { ...headers, 'content-type': 'application/json' },
  })
  if (answer.status >= 200 && answer.status < 300) return
  const where = new URL(url).host
  throw new CaRefusal('dnsWebhook', `The DNS webhook at ${where} answered ${answer.status}`, {
    status: 503,
  })
}

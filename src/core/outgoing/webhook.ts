import { createHmac } from 'node:crypto'

/** What is posted. */
export type Message = { readonly headers: Readonly<Record<string, string>>; readonly body: string }

/** A payload as a webhook of Standard Webhooks 1.0: signed over id, time and body by each secret that is in force,
 *  `whsec_` and base64. The id stays the same however often it is sent. */
export function webhookMessage(
  payload: object,
  {
    id,
    at,
    secrets,
  }: { readonly id: string; readonly at: Date; readonly secrets: readonly string[] },
): Message {
  const body = JSON.stringify(payload)
  const seconds = String(Math.floor(at.getTime() / 1000))
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
  })
  return {
    headers: {
      'webhook-id': id,
      'webhook-timestamp': seconds,
      'webhook-signature': signatures.join(' '),
    },
    body,
  }
}

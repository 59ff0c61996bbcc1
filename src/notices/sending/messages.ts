import type { Message } from '../../core/outgoing/webhook.ts'
import type { Payload } from '../receiver.ts'

/** For incoming webhooks of Slack and what understands them (Mattermost, Rocket.Chat). */
export function slackMessage({ data }: Payload): Message {
  const text = [data.summary, factsOf(data)].filter((each) => each !== '').join('\n')
  return { headers: {}, body: JSON.stringify({ text: escaped(text) }) }
}

/** For PagerDuty's Events API v2: one incident for each subject and type. */
export function pagerDutyMessage(
  { type, timestamp, data }: Payload,
  { routingKey, source }: { readonly routingKey: string; readonly source: string },
): Message {
  const body = {
    routing_key: routingKey,
    event_action: 'trigger',
    dedup_key: `${type}/${data.subject.kind}/${data.subject.id}`.slice(0, 255),
    payload: {
      summary: data.summary.slice(0, 1024),
      source,
      severity: type === 'certificate.revoked' || type === 'test' ? 'info' : 'error',
      timestamp,
      component: data.subject.name,
      class: type,
      custom_details: data,
    },
  }
  return { headers: {}, body: JSON.stringify(body) }
}

/** The text of a mail, and of other messages for people. */
export function mailText(payload: Payload): string {
  return `${payload.data.summary}\n\n${factsOf(payload.data)}\n`
}

function factsOf({ tenant, subject, summary: _, ...facts }: Payload['data']): string {
  const all = { tenant, [subject.kind]: subject.name, id: subject.id, ...facts }
  return Object.entries(all)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('\n')
}

/** Slack reads three characters as its own. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { AuditEvent } from '../../audit/event.ts'
import { connectionTo, failureOf } from '../../clusters/outgoing.ts'
import type { Config } from '../../core/config.ts'
import type { Siem } from '../../core/settings/sending.ts'
import { bareHost } from '../../x509/names/ip.ts'
import { noticeReach, type Posted } from '../sending/post.ts'

const timeoutMilliseconds = 10_000

/** Sends events over a connection of their own and ends it: they are taken when the other end, which has read
 *  all of them then, ends it as well without a complaint. That is as sure as syslog gets, which knows no
 *  answer (RFC 5425 7.1). Where it leads is looked at as for notices. */
export function sendSyslog(
  config: Config,
  { url, ca }: NonNullable<Siem['syslog']>,
  events: readonly AuditEvent[],
): Promise<Posted> {
  const { protocol, hostname, port } = new URL(url)
  const plain = protocol === 'tcp:'
  const { fault, lookup } = connectionTo(noticeReach(config), hostname, plain)
  if (fault !== undefined) return Promise.resolve({ answer: null, error: fault })
  const host = bareHost(hostname)
  const source = new URL(config.publicUrl).hostname
  const text = Buffer.concat(events.map((event) => framed(syslogMessage(event, source))))
  const target = { host, port: Number(port), lookup }
  return new Promise((done) => {
    const socket: Socket = plain
      ? connectPlain(target)
      : connectTls({ ...target, ...(ca === undefined ? {} : { ca }) })
    const end = (error: string | null) => {
      done({ answer: null, error })
      socket.destroy()
    }
    const late = setTimeout(() => end('It did not take it in 10 s'), timeoutMilliseconds)
    let sent = false
    socket.once(plain ? 'connect' : 'secureConnect', () => {
      socket.end(text, () => {
        sent = true
      })
    })
    // What it says is not listened to, but has to be read, or its end is never seen.
    socket.resume()
    socket.on('error', (error) => end(failureOf(error)))
    socket.on('close', (failed) => {
      clearTimeout(late)
      end(sent && !failed ? null : 'The connection ended before everything was sent')
    })
  })
}

/** Octet counting (RFC 6587 3.4.1, RFC 5425 4.3). */
function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `), message])
}

/** Facility 13, log audit; what was refused is a warning (4), all else information (6). */
const facility = 13

/** An event as RFC 5424 has it: what one searches by as structured data, the whole of it as JSON. 32473 is the number
 *  that RFC 5612 gives to who has none. */
export function syslogMessage(event: AuditEvent, source: string): Buffer {
  const { at, action, actor, subject, tenant, seq, chain } = event
  const priority = facility * 8 + (action === 'access.refused' ? 4 : 6)
  const facts = {
    seq,
    index: chain?.index,
    tenant: tenant ?? undefined,
    actor: actor.name,
    subjectKind: subject.kind,
    subject: subject.name,
  }
  const data = Object.entries(facts).flatMap(([name, value]) =>
    value === undefined ? [] : [` ${name}="${value.replace(/["\\\]]/g, '\\$&')}"`],
  )
  const host = source.replace(/[^!-~]/g, '').slice(0, 255) || '-'
  const header = `<${priority}>1 ${at} ${host} gatesmith - ${action.slice(0, 32)}`
  return Buffer.from(`${header} [event@32473${data.join('')}] \ufeff${JSON.stringify(event)}`)
}

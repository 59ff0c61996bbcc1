import type { Transporter } from 'nodemailer'
import type { Config } from '../../core/config.ts'
import { oncePer } from '../../core/onceper.ts'
import type { Payload } from '../receiver.ts'
import { mailText } from './messages.ts'
import type { Posted } from './post.ts'

/** How long each step of sending may take. */
const patience = 10_000

/** The library is loaded where mail is sent, and by no other process. */
const transports = oncePer<Promise<Transporter>, Config>(async ({ smtp }) => {
  const { protocol, hostname, port, username, password } = new URL(smtp?.url ?? 'smtp://')
  const secure = protocol === 'smtps:'
  const { createTransport } = await import('nodemailer')
  return createTransport({
    host: hostname,
    port: Number(port) || (secure ? 465 : 587),
    secure,
    ...(username === ''
      ? {}
      : { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
    ...{ connectionTimeout: patience, greetingTimeout: patience, socketTimeout: patience },
  })
})

/** Sends a notice as mail, to addresses by comma. The same notice has the same Message-ID however often it is
 *  sent. */
export async function mail(
  config: Config,
  { to, id, payload }: { readonly to: string; readonly id: string; readonly payload: Payload },
): Promise<Posted> {
  const { smtp } = config
  if (!smtp) return { answer: null, error: 'No mail is sent from here: see GATESMITH_SMTP_URL' }
  try {
    const transport = await transports(config)
    await transport.sendMail({
      from: smtp.from,
      to,
      subject: payload.data.summary.slice(0, 200),
      text: mailText(payload),
      messageId: `<${id}@${smtp.from.split('@').at(-1)}>`,
      headers: { 'auto-submitted': 'auto-generated' },
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    return { answer: null, error: null }
  } catch (error) {
    const code = error instanceof Error && 'responseCode' in error ? error.responseCode : undefined
    const answer = typeof code === 'number' ? code : null
    return {
      answer,
      error: answer === null ? 'The mail server cannot be reached' : `It answered ${answer}`,
    }
  }
}

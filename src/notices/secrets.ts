import Type from 'typebox'
import Value from 'typebox/value'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import { day } from '../shared/moment.ts'

/** What of a receiver is sealed: where it is, by what PagerDuty knows it, and by what webhooks are signed: the
 *  secret, and the one before it. */
const Stored = Type.Object({
  url: Type.Optional(Type.String()),
  routingKey: Type.Optional(Type.String()),
  secret: Type.Optional(Type.String()),
  former: Type.Optional(Type.Object({ secret: Type.String(), since: Type.String() })),
})

export type Secrets = {
  readonly url?: string | undefined
  readonly routingKey?: string | undefined
  readonly secret?: string | undefined
  readonly former?: { readonly secret: string; readonly since: string } | undefined
}

/** How long the secret before the last is signed with, too. */
const overlap = day

/** A signing secret as Standard Webhooks writes them: 32 random octets. */
export function newSecret(ctx: Context): string {
  return `whsec_${ctx.random(32).toString('base64')}`
}

/** What is sealed for a receiver. */
export function sealSecrets(ctx: Context, id: string, secrets: Secrets): Buffer {
  return ctx.seal.seal(`receiver_secret/${id}`, Buffer.from(JSON.stringify(secrets)))
}

/** The same, opened. */
export async function secretsOf(ctx: Context, tx: Tx, id: string): Promise<Secrets> {
  const row = await tx.receiverSecret.findUnique({ where: { receiverId: id } })
  if (!row) return {}
  const opened = ctx.seal.open(`receiver_secret/${id}`, Buffer.from(row.sealed))
  return Value.Parse(Stored, JSON.parse(opened.toString()))
}

/** By what a webhook is signed now. */
export function signing({ secret, former }: Secrets, now: Date): readonly string[] {
  const both = former && now.getTime() - Date.parse(former.since) < overlap ? [former.secret] : []
  return [...(secret === undefined ? [] : [secret]), ...both]
}

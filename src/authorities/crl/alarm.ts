import { record } from '../../audit/record.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { oneOf } from '../../shared/oneof.ts'
import { alarmOf, listRoom, pemOctets } from './room.ts'
import type { ListKey } from './urls.ts'

/** How long a list is, in entries and in octets of DER. */
type Size = { readonly entries: number; readonly octets: number }

/** That a list which gateways hold has come near what their Secrets have room for, or over it, or fits
 *  again (null). */
export type ListAlarm = Size & {
  readonly alarm: 'near' | 'over' | null
  readonly authority: string
  /** Whose clients are on the list; null: everybody's. */
  readonly tenant: string | null
  readonly overflow: string
}

const actor = systemActor('authority.publish')

/** Records it once, in the transaction in which the list is published; answers what there is to say.
 *  `held`: gateways hold this list, so that its length matters. */
export async function raise(
  tx: Tx,
  now: Date,
  raised: {
    readonly list: ListKey
    readonly size: Size
    readonly before: { readonly alarm: string | null }
    readonly held: boolean
  },
): Promise<ListAlarm | undefined> {
  const { list, size, before, held } = raised
  const alarm = held ? alarmOf(size.octets) : null
  if (alarm === before.alarm) return undefined
  await tx.revocationList.update({
    where: { keyId_shard: list },
    data: { alarm },
    select: { keyId: true },
  })
  const { authority } = await tx.issuer.findFirstOrThrow({
    where: { keyId: list.keyId },
    select: { authority: { select: { id: true, name: true, tenantId: true, listOverflow: true } } },
  })
  const { id, name, listOverflow: overflow } = authority
  const tenant = await tx.tenant.findUnique({
    where: { crlShard: list.shard },
    select: { id: true, name: true },
  })
  const action = alarm === null ? 'authority.list-fits' : (`authority.list-${alarm}` as const)
  await record(tx, { actor, now }, action, {
    subject: { kind: 'authority', id, name, tenantId: tenant?.id ?? authority.tenantId },
    changes: {
      clientsOf: tenant?.name ?? null,
      entries: size.entries,
      octets: pemOctets(size.octets),
      room: listRoom,
      overflow,
    },
  })
  return { ...size, alarm, authority: name, tenant: tenant?.name ?? null, overflow }
}

/** Says it in the log. */
export function say({ log }: Context, alarm: ListAlarm): void {
  const { authority, tenant, entries, octets } = alarm
  const facts = { authority, tenant, entries, octets: pemOctets(octets), room: listRoom }
  if (alarm.alarm === 'over') log.error(facts, listSentence(alarm))
  else if (alarm.alarm === 'near') log.warn(facts, listSentence(alarm))
  else log.info(facts, `the list of revoked clients of "${authority}" fits its Secrets again`)
}

/** How it stands with a list that gateways hold, and what to do about it. */
export function listSentence({ alarm, authority, entries, octets, overflow }: ListAlarm): string {
  const share = Math.round((100 * pemOctets(octets)) / listRoom)
  const filled = `${entries} revoked clients of "${authority}" that have not ended fill ${share} % of what a gateway's Secret has room for`
  return `${filled}${alarm === 'over' ? `: ${consequence(overflow)}` : ''}. ${wayOut}`
}

/** What becomes of clients whose list has no room. */
export function consequence(overflow: string): string {
  return oneOf(['refuse', 'tell'], overflow) === 'refuse'
    ? 'every client of that key is refused'
    : 'gateways keep the last list that fitted until it ends, a week at most, and clients revoked since are let in; then every client of that key is refused'
}

/** What to do when a list fills its Secret. */
export const wayOut =
  'Rotate the authority (a new key begins with an empty list), have its client certificates end sooner (maxValidityDays), or use an authority of its own for clients'

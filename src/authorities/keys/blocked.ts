import Type from 'typebox'
import { record, type Subject } from '../../audit/record.ts'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { isDuplicate, type Scalars, sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { type Listing, listRows, when } from '../../core/database/lists.ts'
import { rowsOf } from '../../core/database/rows.ts'
import { orRefuse } from '../../core/refusal.ts'
import { type List, listQuery } from '../../shared/lists/query.ts'
import { Problem, type Violation } from '../../shared/problem.ts'
import { fingerprintSha256, readCertificate } from '../../x509/certificates/read.ts'
import { readPem } from '../../x509/der/pem.ts'
import { certifiedSpki, weakKeyFault } from '../../x509/keys/public.ts'
import { type BlockedKey, BlockedKeySort, type NewBlockedKey, SpkiSha256 } from './blockedkey.ts'

/** Blocks a public key: no certificate is made for it any more, by nobody, and every certificate that
 *  has it is revoked for keyCompromise (due at once). Throws blocked-key-exists, key-refused. */
export async function blockKey(
  ctx: Context,
  actor: Actor,
  request: NewBlockedKey,
): Promise<BlockedKey> {
  allowPlatform(actor, 'block-keys')
  const spkiSha256 = spkiSha256Of(request)
  const now = ctx.now()
  const row = { spkiSha256, reason: request.reason, since: now, by: actor.name }
  try {
    return await ctx.db.transaction(async (tx) => {
      const own = await tx.authorityKey.findUnique({ where: { spkiSha256 }, select: { id: true } })
      if (own) {
        throw new Problem('key-refused', 'That is the key of an authority here: rotate it instead')
      }
      await tx.blockedKey.create({ data: row })
      await recordBlocked(tx, { actor, now }, row)
      return blockedKeyView(row)
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem('blocked-key-exists', `The key ${spkiSha256} is blocked already`)
  }
}

/** Blocks the key of a certificate that was revoked for keyCompromise, in that transaction. The caller
 *  has seen that nobody else holds it, or that whoever says so has it (src/certificates/revocation/compromise.ts).
 *  Does nothing when it is blocked. */
export async function blockCompromised(
  tx: Tx,
  { actor, now }: { actor: Actor; now: Date },
  { spkiSha256, serial }: { spkiSha256: string; serial: string },
): Promise<void> {
  const reason = `certificate ${serial} was revoked for keyCompromise`
  const row = { spkiSha256, reason, since: now, by: actor.name }
  const { count } = await tx.blockedKey.createMany({ data: [row], skipDuplicates: true })
  if (count > 0) await recordBlocked(tx, { actor, now }, row)
}

async function recordBlocked(
  tx: Tx,
  { actor, now }: { actor: Actor; now: Date },
  { spkiSha256, reason }: { spkiSha256: string; reason: string },
): Promise<void> {
  await record(tx, { actor, now }, 'key.blocked', {
    subject: subjectOf(spkiSha256),
    changes: { reason },
  })
  await due(tx, 'blocked-key.revoke', { spkiSha256 })
}

/** Lifts a block. What was revoked stays revoked; of uploaded certificates nothing is complained of any more (due at
 *  once). Throws blocked-key-unknown. */
export async function unblockKey(ctx: Context, actor: Actor, spkiSha256: string): Promise<void> {
  allowPlatform(actor, 'block-keys')
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const { count } = await tx.blockedKey.deleteMany({ where: { spkiSha256 } })
    if (count === 0) throw new Problem('blocked-key-unknown', `${spkiSha256} is not blocked`)
    await record(tx, { actor, now }, 'key.unblocked', {
      subject: subjectOf(spkiSha256),
      changes: {},
    })
    await due(tx, 'blocked-key.revoke', { spkiSha256 })
  })
}

/** Which blocked keys are listed. */
export const BlockedKeyQuery = listQuery(BlockedKeySort, { spkiSha256: Type.Optional(SpkiSha256) })
export type BlockedKeyQuery = Readonly<Type.Static<typeof BlockedKeyQuery>>

const listing: Listing<BlockedKeySort, Scalars<'BlockedKey'>> = {
  rows: rowsOf('BlockedKey', {}),
  usual: 'since',
  orders: {
    since: [
      { member: 'since', kind: 'timestamptz' },
      { member: 'spkiSha256', kind: 'text' },
    ],
  },
}

/** The blocked keys, oldest first unless asked otherwise. Throws cursor-refused. */
export async function listBlockedKeys(
  ctx: Context,
  actor: Actor,
  query: BlockedKeyQuery,
): Promise<List<BlockedKey>> {
  allowPlatform(actor, 'read')
  const conditions = when(query.spkiSha256, (one) => sql`blocked_key."spkiSha256" = ${one}`)
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: page.items.map(blockedKeyView) }
}

/** One of the blocked keys. Throws blocked-key-unknown. */
export async function getBlockedKey(
  ctx: Context,
  actor: Actor,
  spkiSha256: string,
): Promise<BlockedKey> {
  allowPlatform(actor, 'read')
  const row = await ctx.db.read.blockedKey.findUnique({ where: { spkiSha256 } })
  if (!row) throw new Problem('blocked-key-unknown', `${spkiSha256} is not blocked`)
  return blockedKeyView(row)
}

/** Why a key may not be used at all: it is blocked. Who blocked it and why is for the platform. */
export async function blockedFault(tx: Tx, spki: Buffer): Promise<string | undefined> {
  const where = { spkiSha256: fingerprintSha256(spki) }
  const blocked = await tx.blockedKey.findUnique({ where })
  return blocked
    ? `The key is blocked since ${blocked.since.toISOString()}; make a new one`
    : undefined
}

/** Why a new authority may not have this key: a key in a token may be weak or blocked. */
export async function keyFaults(ctx: Context, spki: Buffer): Promise<readonly Violation[]> {
  const faults = [weakKeyFault(spki), await blockedFault(ctx.db.read, spki)]
  return faults.flatMap((message) => (message === undefined ? [] : [{ field: '/key', message }]))
}

function spkiSha256Of({ spkiSha256, pem }: NewBlockedKey): string {
  if ((spkiSha256 === undefined) === (pem === undefined)) {
    throw new Problem('key-refused', 'Send either spkiSha256 or pem')
  }
  return spkiSha256 ?? fingerprintSha256(orRefuse('key-refused', '/pem', () => spkiIn(pem ?? '')))
}

function spkiIn(pem: string): Buffer {
  const label = pem.includes('-----BEGIN CERTIFICATE-----') ? 'CERTIFICATE' : 'PUBLIC KEY'
  const [der = Buffer.alloc(0)] = readPem(pem, label, { bytes: 1 << 16, blocks: 1 })
  // Read, so that something else is not blocked in its stead.
  return certifiedSpki(label === 'CERTIFICATE' ? readCertificate(der).spki : der)
}

function subjectOf(spkiSha256: string): Subject {
  return { kind: 'key', id: spkiSha256, name: spkiSha256.slice(0, 16), tenantId: null }
}

function blockedKeyView(row: {
  readonly spkiSha256: string
  readonly reason: string
  readonly since: Date
  readonly by: string
}): BlockedKey {
  const { spkiSha256, reason, since, by } = row
  return { spkiSha256, reason, since: since.toISOString(), by }
}

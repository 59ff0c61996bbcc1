import { holdAccount } from '../../authorities/acme/hold.ts'
import { lookAtOrders } from '../../authorities/acme/orders.ts'
import { accountKey, accountThumbprint, secretsOfCa } from '../../authorities/acme/secrets.ts'
import { nameBefore } from '../../authorities/authority.ts'
import { lookAtHosts } from '../../authorities/hosts.ts'
import { backoff } from '../../certificates/renewal/rules.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { must } from '../../shared/must.ts'
import { endedIn, endedSentence } from './accountfault.ts'
import { type CaAccountRow, readAccount, settled, tellOfAccount } from './accountrow.ts'
import { changeKey } from './keychange.ts'
import { type CaSession, directoryOf, externalBinding, postTo, sessionOf } from './protocol.ts'
import { CaRefusal, isPassing } from './refusal.ts'

/** Brings the account of an authority to what is wanted: registered, told of its contacts, of another key, or given
 *  up. Driven by what is stored alone: run twice, late, or after a crash, it comes to the same end. What the CA
 *  refuses is said on the authority, and tried again later and later. */
export async function advanceAccount(ctx: Context, authorityId: string): Promise<void> {
  const row = await readAccount(ctx, authorityId)
  const session = row && (await sessionOf(ctx, row))
  if (!row || !session) return
  try {
    if (row.state === 'deactivating') return await deactivate(ctx, row, session)
    if (row.state !== 'valid') return await register(ctx, row, session)
    if (row.changes.includes('key')) return await changeKey(ctx, row, session)
    if (row.changes.includes('contact')) await tellContact(ctx, row, session)
  } catch (error) {
    if (!(error instanceof CaRefusal)) throw error
    await recordFailure(ctx, row, error)
  }
}

/** RFC 8555 7.3: who registers a key twice is told of the same account. */
async function register(ctx: Context, row: CaAccountRow, session: CaSession): Promise<void> {
  const { authorityId } = row
  const url = await registered(ctx, row, session)
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const { state, thumbprint, contact } = await holdAccount(tx, authorityId)
    // It may have been given another key meanwhile, by which it is registered then.
    const same = thumbprint === accountThumbprint(session.key)
    if (!same || (state !== 'registering' && state !== 'failed')) return
    const changes = contact.join() === row.contact.join() ? [] : ['contact']
    const data = { ...settled, state: 'valid', url, registeredAt: now, changes }
    await tx.caAccount.update({ where: { authorityId }, data })
    if (changes.length > 0) await due(tx, 'ca.account', { authorityId })
    await tellOfAccount(tx, row, 'authority.account-registered', { account: url }, now)
    await resume(tx, row)
  })
}

/** Where the account is. Throws CaRefusal. */
async function registered(ctx: Context, row: CaAccountRow, session: CaSession): Promise<string> {
  const { newAccount: url } = await directoryOf(ctx, session)
  const { hmacKey } = (await secretsOfCa(ctx, ctx.db.read, row.authorityId)) ?? {}
  const { bindingKeyId: keyId } = row
  const bound = keyId !== null && hmacKey !== undefined
  const payload = {
    ...{ termsOfServiceAgreed: true, contact: contacts(row) },
    ...(bound
      ? { externalAccountBinding: await externalBinding({ url, keyId, hmacKey }, session.key) }
      : {}),
  }
  const answer = await postTo(ctx, session, { url, byKey: true, payload }).catch(
    (error: unknown) => {
      if (!(error instanceof CaRefusal) || isPassing(error)) throw error
      throw new CaRefusal(error.problem, `${error.message}. ${remedy(row, error)}`, error)
    },
  )
  const { location } = answer.headers
  if (location === undefined) throw new CaRefusal('unknown', 'It gave the account no URL')
  const ended = endedIn(answer)
  if (ended === undefined) return location
  throw new CaRefusal('unauthorized', endedSentence(row.authority.name, ended), { status: 403 })
}

/** What may be done about an account that is not opened. */
function remedy(
  { authority: { name }, bindingKeyId }: CaAccountRow,
  { problem }: CaRefusal,
): string {
  const patch = `PATCH /v1/authorities/${name}`
  if (problem === 'externalAccountRequired') {
    return `Give it the externalAccountBinding that the CA gave out (${patch})`
  }
  if (problem === 'invalidContact' || problem === 'unsupportedContact') {
    return `Give it another contact (${patch})`
  }
  const binding = bindingKeyId === null ? '' : `, or of another externalAccountBinding (${patch})`
  return `It is tried again later, and at once by another key (POST /v1/authorities/${name}/account-key/rotate)${binding}`
}

/** What waited for it: orders that are on record, and hosts that could order nothing so far. */
async function resume(tx: Tx, { authority }: CaAccountRow): Promise<void> {
  await lookAtOrders(tx, authority.id)
  await lookAtHosts(tx, authority.name, { bare: true })
}

function contacts({ contact }: CaAccountRow): readonly string[] {
  return contact.map((address) => `mailto:${address}`)
}

async function tellContact(ctx: Context, row: CaAccountRow, session: CaSession): Promise<void> {
  const url = must(session.url, 'an account that is valid has a URL')
  await postTo(ctx, session, { url, payload: { contact: contacts(row) } })
  await ctx.db.transaction(async (tx) => {
    const { changes, contact } = await holdAccount(tx, row.authorityId)
    // Changed again meanwhile: then it is told again.
    const same = contact.join() === row.contact.join()
    const left = changes.filter((each) => each !== 'contact' || !same)
    const data = { ...settled, changes: left }
    await tx.caAccount.update({ where: { authorityId: row.authorityId }, data })
    if (left.length > 0) await due(tx, 'ca.account', { authorityId: row.authorityId })
  })
}

/** How long a CA that cannot be told is tried, until the account is forgotten here all the same. */
const mostGoodbyes = 8

/** How soon it is looked again whether what proved names is taken away, for which its secrets are needed. */
const cleaningPause = 5_000

/** RFC 8555 7.3.6; then nothing of the account is held here any more, nor of an authority that never issued anything. */
async function deactivate(ctx: Context, row: CaAccountRow, session: CaSession): Promise<void> {
  const { authorityId } = row
  const now = ctx.now()
  if (await isOrdering(ctx, authorityId)) {
    const at = new Date(now.getTime() + cleaningPause)
    return ctx.db.transaction((tx) => due(tx, 'ca.account', { authorityId }, at))
  }
  await sayGoodbye(ctx, row, session)
  await ctx.db.transaction(async (tx) => {
    await tx.caAccountSecret.deleteMany({ where: { authorityId } })
    const data = { ...settled, state: 'deactivated', changes: [] }
    await tx.caAccount.update({ where: { authorityId }, data })
    await tellOfAccount(tx, row, 'authority.account-deactivated', {}, now)
    if (nameBefore(row.authority.name) === row.authority.name) return
    await tx.caOrder.deleteMany({ where: { authorityId } })
    await tx.authority.delete({ where: { id: authorityId } })
  })
}

async function isOrdering({ db: { read } }: Context, authorityId: string): Promise<boolean> {
  const where = { authorityId, cleanedAt: null }
  return (await read.caOrder.findFirst({ where, select: { id: true } })) !== null
}

/** Throws CaRefusal while the CA is away and is to be told later. */
async function sayGoodbye(ctx: Context, row: CaAccountRow, session: CaSession): Promise<void> {
  const { url } = session
  if (url === undefined) return
  const ended = { url, payload: { status: 'deactivated' } }
  try {
    await postTo(ctx, session, ended).catch(async (error: unknown) => {
      // It may know the account by the next key already.
      const { nextKey } = (await secretsOfCa(ctx, ctx.db.read, row.authorityId)) ?? {}
      if (nextKey === undefined) throw error
      return postTo(ctx, { ...session, key: accountKey(nextKey) }, ended)
    })
  } catch (error) {
    if (!(error instanceof CaRefusal)) throw error
    if (isPassing(error) && row.failures < mostGoodbyes) throw error
    const facts = { authority: nameBefore(row.authority.name) }
    ctx.log.warn(facts, 'an account was given up that the CA did not end')
  }
}

async function recordFailure(ctx: Context, row: CaAccountRow, error: CaRefusal): Promise<void> {
  const failures = row.failures + 1
  const pause = isPassing(error)
    ? Math.min(15_000 * 2 ** Math.min(failures - 1, 8), backoff(1))
    : backoff(failures)
  const retryAt = new Date(ctx.now().getTime() + Math.max(error.retryAfter ?? 0, pause))
  const state = row.state === 'registering' && !isPassing(error) ? 'failed' : row.state
  const { authorityId } = row
  await ctx.db.transaction(async (tx) => {
    const now = await holdAccount(tx, authorityId)
    // Changed meanwhile: then that is tried at once.
    if (askedOf(now) !== askedOf(row)) return due(tx, 'ca.account', { authorityId })
    await tx.caAccount.update({
      where: { authorityId },
      data: { state, failures, message: error.message, problem: error.problem, retryAt },
    })
    await due(tx, 'ca.account', { authorityId }, retryAt)
  })
}

/** What decides about what the CA is told. */
function askedOf(row: Omit<CaAccountRow, 'authority'>): string {
  const { state, thumbprint, contact, changes, trustedRoots, bindingKeyId } = row
  return JSON.stringify([state, thumbprint, contact, changes, trustedRoots, bindingKeyId])
}

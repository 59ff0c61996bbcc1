import { record } from '../../audit/record.ts'
import {
  accountKey,
  accountThumbprint,
  jwkOf,
  keepSecrets,
  secretsOfCa,
} from '../../authorities/acme/secrets.ts'
import { authoritySubject } from '../../authorities/authority.ts'
import { backoff } from '../../certificates/renewal/rules.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { due, dueMany } from '../../core/database/due.ts'
import { must } from '../../shared/must.ts'
import {
  type CaSession,
  directoryOf,
  externalBinding,
  openCaSession,
  postTo,
  signed,
} from './protocol.ts'
import { CaRefusal, isPassing } from './refusal.ts'

const actor = systemActor('ca.account')

type Row = NonNullable<Awaited<ReturnType<typeof readAccount>>>

function readAccount(ctx: Context, authorityId: string) {
  return ctx.db.read.caAccount.findUnique({
    where: { authorityId },
    include: { authority: { select: { id: true, name: true, tenantId: true } } },
  })
}

/** Brings the account of an authority to what is wanted: registered, told of its contacts, of another key, or given
 *  up. Driven by what is stored alone: run twice, late, or after a crash, it comes to the same end. What the CA
 *  refuses is said on the authority, and tried again later and later. */
export async function advanceAccount(ctx: Context, authorityId: string): Promise<void> {
  const row = await readAccount(ctx, authorityId)
  const session = row && (await openCaSession(ctx, authorityId))
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
async function register(ctx: Context, row: Row, session: CaSession): Promise<void> {
  const { newAccount: url } = await directoryOf(ctx, session)
  const secrets = await secretsOfCa(ctx, ctx.db.read, row.authorityId)
  const binding =
    row.bindingKeyId !== null && secrets?.hmacKey !== undefined
      ? { url, keyId: row.bindingKeyId, hmacKey: secrets.hmacKey }
      : undefined
  const answer = await postTo(ctx, session, {
    url,
    byKey: true,
    payload: {
      termsOfServiceAgreed: true,
      contact: contacts(row),
      ...(binding ? { externalAccountBinding: externalBinding(binding, session.key) } : {}),
    },
  })
  const { location } = answer.headers
  if (location === undefined) throw new CaRefusal('unknown', 'It gave the account no URL')
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const { count } = await tx.caAccount.updateMany({
      where: { authorityId: row.authorityId, state: { in: ['registering', 'failed'] } },
      data: { ...settled, state: 'valid', url: location, registeredAt: now, changes: [] },
    })
    if (count === 0) return
    await tell(tx, row, 'authority.account-registered', { account: location }, now)
    await resumeHosts(tx, row)
  })
}

const settled = { failures: 0, message: null, problem: null, retryAt: null } as const

function tell(
  tx: Tx,
  { authority }: Row,
  action: Parameters<typeof record>[2],
  changes: Record<string, string>,
  now: Date,
): Promise<void> {
  return record(tx, { actor, now }, action, { subject: authoritySubject(authority), changes })
}

/** Hosts that could order nothing so far. */
async function resumeHosts(tx: Tx, { authority }: Row): Promise<void> {
  const hosts = await tx.host.findMany({
    where: {
      spec: { path: ['certificate', 'authority'], equals: authority.name },
      ...{ removedAt: null, certificateId: null },
    },
    select: { id: true },
    orderBy: { id: 'asc' },
  })
  await dueMany(
    tx,
    'host.certify',
    hosts.map(({ id: hostId }) => ({ hostId })),
  )
}

function contacts({ contact }: Row): readonly string[] {
  return contact.map((address) => `mailto:${address}`)
}

async function tellContact(ctx: Context, row: Row, session: CaSession): Promise<void> {
  const url = must(session.url, 'an account that is valid has a URL')
  await postTo(ctx, session, { url, payload: { contact: contacts(row) } })
  await ctx.db.transaction(async (tx) => {
    // Changed again meanwhile: then it is told again.
    const { count } = await tx.caAccount.updateMany({
      where: { authorityId: row.authorityId, contact: { equals: row.contact } },
      data: { ...settled, changes: row.changes.filter((each) => each !== 'contact') },
    })
    if (count === 0) await due(tx, 'ca.account', { authorityId: row.authorityId })
  })
}

/** RFC 8555 7.3.5. The next key is sealed before the CA hears of it; where its answer was lost, the CA knows the account
 *  by the next key, and says so. */
async function changeKey(ctx: Context, row: Row, session: CaSession): Promise<void> {
  const secrets = must(await secretsOfCa(ctx, ctx.db.read, row.authorityId), 'it was opened')
  const { keyChange: url } = await directoryOf(ctx, session)
  const next = accountKey(must(secrets.nextKey, 'a change of key has the next one'))
  if (url === undefined) throw new CaRefusal('unsupported', 'It changes no keys of accounts')
  const account = must(session.url, 'an account that is valid has a URL')
  const inner = signed({ jwk: jwkOf(next), url }, { account, oldKey: jwkOf(session.key) }, next)
  try {
    await postTo(ctx, session, { url, payload: JSON.parse(inner) })
  } catch (error) {
    if (!(error instanceof CaRefusal) || isPassing(error)) throw error
    if (!(await isKnownBy(ctx, { ...session, key: next }))) throw error
  }
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const { nextKey, ...rest } = secrets
    await keepSecrets(ctx, tx, {
      authorityId: row.authorityId,
      secrets: { ...rest, key: nextKey ?? rest.key },
    })
    const thumbprint = accountThumbprint(next)
    const changes = row.changes.filter((each) => each !== 'key')
    const data = { ...settled, thumbprint, changes, keyChangedAt: now }
    await tx.caAccount.update({ where: { authorityId: row.authorityId }, data })
    await tell(tx, row, 'authority.account-key-changed', { thumbprint }, now)
    if (changes.length > 0) await due(tx, 'ca.account', { authorityId: row.authorityId })
  })
}

async function isKnownBy(ctx: Context, session: CaSession): Promise<boolean> {
  const { newAccount: url } = await directoryOf(ctx, session)
  const payload = { onlyReturnExisting: true }
  const answer = await postTo(ctx, session, { url, byKey: true, payload }).catch(() => undefined)
  return answer?.headers.location === session.url
}

/** How long a CA that cannot be told is tried, until the account is forgotten here all the same. */
const mostGoodbyes = 8

/** RFC 8555 7.3.6; then nothing of the account is held here any more. */
async function deactivate(ctx: Context, row: Row, session: CaSession): Promise<void> {
  try {
    if (session.url !== undefined) {
      await postTo(ctx, session, { url: session.url, payload: { status: 'deactivated' } })
    }
  } catch (error) {
    if (!(error instanceof CaRefusal)) throw error
    if (isPassing(error) && row.failures < mostGoodbyes) throw error
    ctx.log.warn(
      { authority: row.authority.name },
      'an account was given up that the CA did not end',
    )
  }
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    await tx.caAccountSecret.deleteMany({ where: { authorityId: row.authorityId } })
    const data = { ...settled, state: 'deactivated', changes: [] }
    await tx.caAccount.update({ where: { authorityId: row.authorityId }, data })
    await tell(tx, row, 'authority.account-deactivated', {}, now)
  })
}

async function recordFailure(ctx: Context, row: Row, error: CaRefusal): Promise<void> {
  const failures = row.failures + 1
  const pause = isPassing(error)
    ? Math.min(15_000 * 2 ** Math.min(failures - 1, 8), backoff(1))
    : backoff(failures)
  const retryAt = new Date(ctx.now().getTime() + Math.max(error.retryAfter ?? 0, pause))
  const state = row.state === 'registering' && !isPassing(error) ? 'failed' : row.state
  await ctx.db.transaction(async (tx) => {
    await tx.caAccount.updateMany({
      where: { authorityId: row.authorityId },
      data: { state, failures, message: error.message, problem: error.problem, retryAt },
    })
    await due(tx, 'ca.account', { authorityId: row.authorityId }, retryAt)
  })
}

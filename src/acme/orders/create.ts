import { record } from '../../audit/record.ts'
import { findRenewable } from '../../certificates/renewal/find.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { json, sql, type Tx } from '../../core/database/db.ts'
import { day } from '../../shared/moment.ts'
import type { AccountRow } from '../accounts/find.ts'
import { AcmeProblem, acmeErrorBase } from '../problem.ts'
import { AcmeProfile, profilesOffered, termsOf } from '../profiles.ts'
import { type AcmeOrder, orderView } from './find.ts'
import { type Identifier, isWithinNames, knownIdentifiers, sharesName } from './identifiers.ts'
import { vetNames } from './vet.ts'

/** How long an order, and what it waits for, is open. */
const lifetime = 7 * day

/** How many orders of an account may be open at a time. */
const mostOpen = 300

/** What is ordered (RFC 8555 7.4). */
export type NewOrder = {
  readonly identifiers: readonly Identifier[]
  readonly profile?: string | undefined
  /** By RFC 9773 5. */
  readonly replaces?: string | undefined
}

/** Opens an order: `ready` where the key of the account needs no challenges, else with an authorization for each
 *  name. Throws rejectedIdentifier, invalidProfile, alreadyReplaced, malformed, rateLimited, unauthorized. */
export async function createOrder(
  ctx: Context,
  actor: Actor,
  { account, asked }: { readonly account: AccountRow; readonly asked: NewOrder },
): Promise<AcmeOrder> {
  const identifiers = knownIdentifiers(asked.identifiers)
  refuseOthers(account, identifiers)
  const profile = await profileFor(ctx, account, asked.profile)
  await vetNames(ctx, actor, { account, profile, identifiers })
  const replacesId = await replacedBy(ctx, { account, identifiers, replaces: asked.replaces })
  const now = ctx.now()
  const status = account.key.preauthorized ? 'ready' : 'pending'
  const [id, tenantId] = [newId(now), account.tenantId]
  const row = {
    ...{ id, tenantId, accountId: account.id, status, profile, replacesId },
    ...{ identifiers: json(identifiers), createdAt: now },
    expiresAt: new Date(Math.floor((now.getTime() + lifetime) / 1000) * 1000),
  }
  return ctx.db.transaction(async (tx) => {
    await holdOpenOrders(tx, account.id, now)
    const authorizations = identifiers.map((one) =>
      newAuthorization(ctx, one, account.key.preauthorized),
    )
    await tx.acmeOrder.create({ data: row })
    await tx.acmeAuthorization.createMany({
      data: authorizations.map(({ challenges: _, ...one }) => ({ ...one, tenantId, orderId: id })),
    })
    await tx.acmeChallenge.createMany({
      data: authorizations.flatMap(({ id: authorizationId, challenges }) =>
        challenges.map((one) => ({ ...one, tenantId, authorizationId })),
      ),
    })
    const names = identifiers.map(({ value }) => value)
    await record(tx, { actor, now }, 'acme-order.created', {
      subject: { kind: 'acme-order', id, name: names[0] ?? id, tenantId },
      changes: { names, profile, status, replaces: replacesId },
    })
    const ids = authorizations.map((one) => ({ id: one.id }))
    return orderView(
      { ...row, csr: null, certificateId: null, error: null, authorizations: ids },
      now,
    )
  })
}

/** Names that the key of the account is not for. */
function refuseOthers({ key }: AccountRow, identifiers: readonly Identifier[]): void {
  const others = identifiers.filter((one) => !isWithinNames(one, key.names))
  const [first] = others
  if (!first) return
  const detailOf = ({ value }: Identifier) =>
    `${value} is not within the names of this account's key`
  throw new AcmeProblem('rejectedIdentifier', detailOf(first), {
    subproblems: others.map((identifier) => {
      const type = `${acmeErrorBase}rejectedIdentifier`
      return { type, detail: detailOf(identifier), identifier }
    }),
  })
}

/** The profile asked for, or the first one that the authority signs and the key is for. Throws invalidProfile. */
async function profileFor(
  ctx: Context,
  { key, authorityId }: AccountRow,
  asked: string | undefined,
): Promise<AcmeProfile> {
  const authority = await ctx.db.read.authority.findUniqueOrThrow({
    where: { id: authorityId },
    select: { profiles: true },
  })
  const allowed = AcmeProfile.enum.filter((name) => {
    return authority.profiles.includes(termsOf(name).profile) && isFor(key.profiles, name)
  })
  const found = asked === undefined ? allowed[0] : allowed.find((name) => name === asked)
  if (found !== undefined) return found
  const offered = Object.keys(profilesOffered(authority)).filter((name) =>
    isFor(key.profiles, name),
  )
  throw new AcmeProblem(
    'invalidProfile',
    `This account may order ${offered.join(', ') || 'nothing'} here${asked === undefined ? '' : `, not ${asked.slice(0, 40)}`}`,
  )
}

function isFor(profiles: readonly string[], name: string): boolean {
  return profiles.length === 0 || profiles.includes(name)
}

/** The certificate that the order is to take over from. Throws malformed for one that is not the tenant's or shares no
 *  name with the order, alreadyReplaced. */
async function replacedBy(
  ctx: Context,
  {
    account,
    identifiers,
    replaces,
  }: { account: AccountRow; identifiers: readonly Identifier[]; replaces: string | undefined },
): Promise<string | null> {
  if (replaces === undefined) return null
  const row = await findRenewable(ctx, replaces)
  const own = row?.tenantId === account.tenantId && row.authorityId === account.authorityId
  if (!row || !own || row.hostId !== null || !sharesName(identifiers, row)) {
    throw new AcmeProblem(
      'malformed',
      'replaces names no certificate of this account with one of these names',
    )
  }
  if (row.replacedBy.some(({ status }) => status !== 'revoked')) {
    throw new AcmeProblem('alreadyReplaced', 'Another certificate has taken its place already')
  }
  return row.id
}

async function holdOpenOrders(tx: Tx, accountId: string, now: Date): Promise<void> {
  // One after the other, or two would both have the last one.
  await tx.$executeRaw(sql`select 1 from acme_account where "id" = ${accountId}::uuid for update`)
  const open = await tx.acmeOrder.count({
    where: { accountId, status: { in: ['pending', 'ready'] }, expiresAt: { gt: now } },
  })
  if (open < mostOpen) return
  const detail = `This account has ${open} open orders: finish them, or wait until they end`
  throw new AcmeProblem('rateLimited', detail, { retryAfterSeconds: 3600 })
}

function newAuthorization(ctx: Context, { type, value }: Identifier, valid: boolean) {
  const wildcard = value.startsWith('*.')
  const status = valid ? 'valid' : 'pending'
  const name = { type, value: value.replace(/^\*\./, ''), wildcard }
  const kinds = valid ? [] : challengesFor(name)
  const challenges = kinds.map((kind) => ({
    ...{ id: newId(ctx.now()), type: kind, status: 'pending' },
    token: ctx.random(24).toString('base64url'),
  }))
  return { id: newId(ctx.now()), ...name, status, challenges }
}

/** By what a name can be proved: a wildcard by DNS alone, an address without DNS (RFC 8555 8.3, RFC 8738 4). */
function challengesFor({ type, wildcard }: { type: string; wildcard: boolean }): readonly string[] {
  if (wildcard) return ['dns-01']
  return type === 'ip' ? ['http-01', 'tls-alpn-01'] : ['http-01', 'dns-01', 'tls-alpn-01']
}

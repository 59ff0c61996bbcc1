import Type from 'typebox'
import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { isRecord, mustConform } from '../../shared/shape.ts'
import type { AccountRow } from '../accounts/find.ts'
import { AcmeProblem, type KeptProblem } from '../problem.ts'
import { Identifier } from './identifiers.ts'

/** An order as it stands (RFC 8555 7.1.3), of this account. */
export type AcmeOrder = {
  readonly id: string
  readonly status: OrderStatus
  readonly identifiers: readonly Identifier[]
  readonly profile: string
  readonly authorizations: readonly string[]
  readonly replacesId: string | null
  readonly certificateId: string | null
  readonly error: KeptProblem | null
  readonly createdAt: Date
  readonly expiresAt: Date
}
type OrderStatus = 'pending' | 'ready' | 'processing' | 'valid' | 'invalid'

/** An authorization as it stands (RFC 8555 7.1.4), with its challenges. */
export type Authorization = NonNullable<Awaited<ReturnType<typeof readAuthorization>>>

const withAuthorizations = {
  authorizations: { select: { id: true }, orderBy: { id: 'asc' } },
} as const

/** An order of an account. Throws malformed (404). */
export async function findOrder(ctx: Context, account: AccountRow, id: string): Promise<AcmeOrder> {
  const order = await readOrder(ctx.db.read, { accountId: account.id, id })
  return orderView(order, ctx.now())
}

async function readOrder(tx: Tx, { accountId, id }: { accountId: string; id: string }) {
  const order = await tx.acmeOrder.findUnique({ where: { id }, include: withAuthorizations })
  if (order?.accountId !== accountId) throw nothingHere('order')
  return order
}

type OrderRow = Omit<Awaited<ReturnType<typeof readOrder>>, 'identifiers' | 'error'> & {
  readonly identifiers: unknown
  readonly error: unknown
}

/** An order as it is to be seen at this moment: what was not finished in its time is invalid. */
export function orderView(row: OrderRow, now: Date): AcmeOrder {
  const open = row.status === 'pending' || row.status === 'ready'
  return {
    ...row,
    status: open && row.expiresAt <= now ? 'invalid' : statusOf(row.status),
    identifiers: identifiersOf(row),
    authorizations: row.authorizations.map(({ id }) => id),
    error: keptIn(row.error),
  }
}

const statuses: readonly OrderStatus[] = ['pending', 'ready', 'processing', 'valid', 'invalid']

function statusOf(text: string): OrderStatus {
  return statuses.find((each) => each === text) ?? 'invalid'
}

const Identifiers = Type.Array(Identifier)

/** The identifiers of a row. */
function identifiersOf({ identifiers }: { readonly identifiers: unknown }) {
  return mustConform(Identifiers, identifiers, 'an order has identifiers')
}

/** An error that was kept. */
export function keptIn(error: unknown): KeptProblem | null {
  if (!isRecord(error)) return null
  const { type, detail, status } = error
  return { type: String(type), detail: String(detail), status: Number(status) }
}

/** An authorization of an account. Throws malformed (404). */
export async function findAuthorization(
  ctx: Context,
  account: AccountRow,
  id: string,
): Promise<Authorization> {
  const found = await readAuthorization(ctx.db.read, id)
  if (found?.order.accountId !== account.id) throw nothingHere('authorization')
  return found
}

function readAuthorization(tx: Tx, id: string) {
  return tx.acmeAuthorization.findUnique({
    where: { id },
    include: {
      challenges: { orderBy: { type: 'asc' } },
      order: { select: { accountId: true, status: true, expiresAt: true } },
    },
  })
}

/** Which authorization a challenge belongs to. Throws malformed (404). */
export async function authorizationOf(
  ctx: Context,
  account: AccountRow,
  challengeId: string,
): Promise<Authorization> {
  const where = { id: challengeId }
  const challenge = await ctx.db.read.acmeChallenge.findUnique({ where })
  if (!challenge) throw nothingHere('challenge')
  return findAuthorization(ctx, account, challenge.authorizationId)
}

/** How an authorization stands now: what was not finished in its time has expired. */
export function authorizationStatus({ status, order }: Authorization, now: Date): string {
  if (status !== 'pending') return status
  if (order.expiresAt <= now) return 'expired'
  return order.status === 'invalid' ? 'deactivated' : status
}

const pageSize = 100

/** The orders of an account that are not invalid, oldest first, and after which one there are more. */
export async function listOrders(
  ctx: Context,
  { id: accountId }: AccountRow,
  after: string | undefined,
): Promise<{ readonly ids: readonly string[]; readonly next: string | undefined }> {
  const now = ctx.now()
  const beyond = after === undefined ? sql`` : sql`and "id" > ${after}::uuid`
  const rows = await ctx.db.read.$queryRaw<readonly { readonly id: string }[]>(sql`
    select "id"::text as id from acme_order where "accountId" = ${accountId}::uuid ${beyond}
      and ("status" in ('processing', 'valid') or "status" in ('pending', 'ready') and "expiresAt" > ${now})
    order by "id" limit ${pageSize + 1}::int`)
  const ids = rows.slice(0, pageSize).map(({ id }) => id)
  return { ids, next: rows.length > pageSize ? ids.at(-1) : undefined }
}

/** That an account has nothing of this kind at this URL. */
export function nothingHere(what: string): AcmeProblem {
  return new AcmeProblem('malformed', `This account has no such ${what}`, { status: 404 })
}

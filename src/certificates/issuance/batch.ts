import { setImmediate as turn } from 'node:timers/promises'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { must } from '../../shared/must.ts'
import { outcomeOf, Problem } from '../../shared/problem.ts'
import type { Certificate, NewCertificate } from '../certificate.ts'
import { allowed, checkRequest, type IssuanceRules, issuanceRules } from '../vetting/check.ts'
import { requestedHosts } from '../vetting/policy.ts'
import { type ReadRequest, readIssuanceRequest } from '../vetting/request.ts'
import { issueAllowed } from './issue.ts'

/** What came of one item of a batch: a certificate, or why there is none. */
export type BatchOutcome = { readonly certificate: Certificate } | { readonly problem: Problem }

/** How many are under way at a time: enough to fill the group commits, and not so many that other
 *  requests wait while all their keys are made. */
const atOnce = 100

/** How many are read or checked before others have their turn: one may take a millisecond. */
const batchSize = 10

/** Issues many certificates for a tenant, each as issueCertificate does and each for itself: one that is
 *  refused does not keep the others from being issued. The rules for all are those that apply as the batch begins.
 *  Outcomes come in the order of the items. With an `idempotencyKey` a retry of the whole batch answers
 *  with the same certificates. Throws what concerns them all: tenant-unknown, forbidden. */
export async function issueCertificates(
  ctx: Context,
  actor: Actor,
  input: { tenant: string; items: readonly NewCertificate[]; idempotencyKey: string | undefined },
): Promise<readonly BatchOutcome[]> {
  const { tenant, items, idempotencyKey } = input
  const all = await readAll(items)
  const rulesFor = await rulesOf(ctx, actor, { tenant, items: all })
  const outcomes: BatchOutcome[] = []
  const left = all.entries()
  const pace = inBatches()
  const lane = async () => {
    for (const [index, { request, read }] of left) {
      await pace()
      const key = idempotencyKey === undefined ? undefined : `${idempotencyKey}#${index}`
      const outcome = await outcomeOf(async () => {
        const rules = must(rulesFor.get(request.authority), 'an item has no rules')
        if (rules instanceof Problem) throw rules
        if (read instanceof Problem) throw read
        const checked = allowed(await checkRequest(ctx, rules, read))
        const order = { tenant, request, idempotencyKey: key, allowed: checked }
        return issueAllowed(ctx, actor, order)
      })
      outcomes[index] = outcome instanceof Problem ? { problem: outcome } : { certificate: outcome }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return outcomes
}

/** To be waited for before each: each ten wait for a turn of the event loop of its own. */
function inBatches(): () => Promise<void> {
  let count = 0
  let gate: Promise<void> = Promise.resolve()
  return () => {
    if (count++ % batchSize === 0) gate = gate.then(() => turn())
    return gate
  }
}

type ReadItem = { readonly request: NewCertificate; readonly read: ReadRequest | Problem }

async function readAll(items: readonly NewCertificate[]): Promise<readonly ReadItem[]> {
  const read: ReadItem[] = []
  for (const request of items) {
    read.push({ request, read: readOrProblem(request) })
    if (read.length % batchSize === 0) await turn()
  }
  return read
}

function readOrProblem(request: NewCertificate): ReadRequest | Problem {
  try {
    return readIssuanceRequest(request)
  } catch (error) {
    return problemIn(error)
  }
}

/** One reading for all that name the same authority. */
async function rulesOf(
  ctx: Context,
  actor: Actor,
  { tenant, items }: { tenant: string; items: readonly ReadItem[] },
): Promise<ReadonlyMap<string | undefined, IssuanceRules | Problem>> {
  const groups = Map.groupBy(items, ({ request }) => request.authority)
  const answers = [...groups].map(async ([authority, group]) => {
    const hosts = group.flatMap(({ read }) => (read instanceof Problem ? [] : requestedHosts(read)))
    const request = { tenant, authority, hosts: [...new Set(hosts)] }
    return [authority, await issuanceRules(ctx, actor, request).catch(problemIn)] as const
  })
  return new Map(await Promise.all(answers))
}

/** Throws what is no Problem. */
function problemIn(error: unknown): Problem {
  if (error instanceof Problem) return error
  throw error
}

import { setImmediate as turn } from 'node:timers/promises'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { must } from '../../shared/must.ts'
import { Problem } from '../../shared/problem.ts'
import type { Certificate, NewCertificate } from '../certificate.ts'
import { hostsIn, issueDraft } from './issue.ts'
import { type Ask, readAsk } from './request.ts'
import { type Standing, standing } from './standing.ts'

/** What came of one item of a batch: a certificate, or why there is none. */
export type Outcome = { readonly certificate: Certificate } | { readonly problem: Problem }

/** How many are under way at a time: enough to fill the group commits, and not so many that other
 *  requests wait while all their keys are made. */
const atOnce = 100

/** How many are read or judged before others have their turn: one may take a millisecond. */
const portion = 10

/** Issues many certificates for a tenant, each as issueCertificate does and each for itself: one that is
 *  refused does not keep the others from being issued. All are judged by what holds as the batch begins.
 *  Outcomes come in the order of the items. With an `idempotencyKey` a retry of the whole batch answers
 *  with the same certificates. Throws what concerns them all: tenant-unknown, forbidden. */
export async function issueCertificates(
  ctx: Context,
  actor: Actor,
  input: { tenant: string; items: readonly NewCertificate[]; idempotencyKey: string | undefined },
): Promise<readonly Outcome[]> {
  const { tenant, items, idempotencyKey } = input
  const read = await readAll(items)
  const standings = await standingsOf(ctx, actor, { tenant, read })
  const outcomes: Outcome[] = []
  const left = read.entries()
  const pace = inPortions()
  const lane = async () => {
    for (const [index, { asked, draft }] of left) {
      await pace()
      const key = idempotencyKey === undefined ? undefined : `${idempotencyKey}#${index}`
      outcomes[index] = await outcomeOf(async () => {
        const stands = must(standings.get(asked.authority), 'an item was judged by nothing')
        if (stands instanceof Problem) throw stands
        if (draft instanceof Problem) throw draft
        return issueDraft(ctx, actor, { stands, asked, draft, idempotencyKey: key })
      })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return outcomes
}

/** To be waited for before each: each portion waits for a turn of the event loop of its own. */
function inPortions(): () => Promise<void> {
  let count = 0
  let gate: Promise<void> = Promise.resolve()
  return () => {
    if (count++ % portion === 0) gate = gate.then(() => turn())
    return gate
  }
}

type Read = { readonly asked: NewCertificate; readonly draft: Ask | Problem }

async function readAll(items: readonly NewCertificate[]): Promise<readonly Read[]> {
  const read: Read[] = []
  for (const asked of items) {
    read.push({ asked, draft: draftOf(asked) })
    if (read.length % portion === 0) await turn()
  }
  return read
}

function draftOf(asked: NewCertificate): Ask | Problem {
  try {
    return readAsk(asked, 0)
  } catch (error) {
    return problemIn(error)
  }
}

/** One reading for all that name the same authority. */
async function standingsOf(
  ctx: Context,
  actor: Actor,
  { tenant, read }: { tenant: string; read: readonly Read[] },
): Promise<ReadonlyMap<string | undefined, Standing | Problem>> {
  const groups = Map.groupBy(read, ({ asked }) => asked.authority)
  const answers = [...groups].map(async ([authority, group]) => {
    const hosts = group.flatMap(({ draft }) => (draft instanceof Problem ? [] : hostsIn(draft)))
    const asked = { tenant, authority, hosts: [...new Set(hosts)] }
    return [authority, await standing(ctx, actor, asked).catch(problemIn)] as const
  })
  return new Map(await Promise.all(answers))
}

/** Throws what is no Problem. */
function problemIn(error: unknown): Problem {
  if (error instanceof Problem) return error
  throw error
}

async function outcomeOf(issued: () => Promise<Certificate>): Promise<Outcome> {
  try {
    return { certificate: await issued() }
  } catch (error) {
    const problem = problemIn(error)
    if (concernsAll.has(problem.type)) throw problem
    return { problem }
  }
}

const concernsAll: ReadonlySet<string> = new Set(['tenant-unknown', 'forbidden'])

import type { Actor } from '../ground/actor.ts'
import type { Context } from '../ground/context.ts'
import { Problem } from '../words/problem.ts'
import type { Certificate, NewCertificate } from './certificate.ts'
import { issueCertificate } from './issue.ts'

/** What came of one item of a batch: a certificate, or why there is none. */
export type Outcome = { readonly certificate: Certificate } | { readonly problem: Problem }

/** Issues many certificates for a tenant, each as issueCertificate does and each for itself: one that is
 *  refused does not keep the others from being issued. Outcomes come in the order of the items. With an
 *  `idempotencyKey` a retry of the whole batch answers with the same certificates. Throws what concerns
 *  them all: tenant-unknown, forbidden. */
export async function issueCertificates(
  ctx: Context,
  actor: Actor,
  input: { tenant: string; items: readonly NewCertificate[]; idempotencyKey: string | undefined },
): Promise<readonly Outcome[]> {
  const { tenant, items, idempotencyKey } = input
  return Promise.all(
    items.map(async (asked, index) => {
      const key = idempotencyKey === undefined ? undefined : `${idempotencyKey}#${index}`
      try {
        return {
          certificate: await issueCertificate(ctx, actor, { tenant, asked, idempotencyKey: key }),
        }
      } catch (error) {
        if (!(error instanceof Problem) || concernsAll.has(error.type)) throw error
        return { problem: error }
      }
    }),
  )
}

const concernsAll: ReadonlySet<string> = new Set(['tenant-unknown', 'forbidden'])

import Type from 'typebox'
import { Certificate, NewCertificate } from '../../../certificates/certificate.ts'
import { issueCertificates } from '../../../certificates/issuance/batch.ts'
import { closed, Name, ProblemDocument } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { idempotencyKey } from '../../idempotency.ts'
import { DryRun, writing } from '../../rehearsal.ts'
import { documents } from './outcomes.ts'

/** A thousand requests with a CSR of RSA-4096 each, and names beside. */
const bodyLimit = 4 * 1024 * 1024
const mostValues = 30_000

const NewCertificates = closed(
  { items: Type.Array(NewCertificate, { minItems: 1, maxItems: 1000 }) },
  {
    title: 'NewCertificateBatch',
    examples: [
      {
        items: [
          { profile: 'client', dnsNames: ['a.example.com'] },
          { profile: 'client', dnsNames: ['b.example.com'] },
        ],
      },
    ],
  },
)

/** What came of one of them. */
const Outcome = Type.Union(
  [
    closed({ certificate: Certificate }, { title: 'IssuedItem' }),
    closed({ problem: ProblemDocument }, { title: 'RefusedItem' }),
  ],
  { title: 'CertificateBatchItem', description: 'It was issued, or why it was not' },
)
const Outcomes = closed({ items: Type.Array(Outcome) }, { title: 'CertificateBatch' })

/** /v1/tenants/{tenant}/certificates:batch */
export const certificateBatches: Routes = {
  batchTenantCertificates(api, ctx) {
    api.post(
      // Two colons are one: the name of a custom method (AIP-136), not a parameter.
      '/tenants/:tenant/certificates::batch',
      {
        bodyLimit,
        config: {
          idempotent: true,
          needs: 'write-certificates',
          mostValues,
          problems: ['tenant-unknown', 'quota-exceeded', 'busy'],
        },
        schema: {
          tags: ['certificates'],
          summary: 'Issue up to 1,000 certificates, each for itself; answers in the same order',
          description:
            'One that is refused does not hold up the others: its place holds the problem instead.',
          params: closed({ tenant: Name }),
          querystring: DryRun,
          body: NewCertificates,
          response: { 200: Outcomes },
        },
      },
      async (request) => {
        const { tenant } = request.params
        const { items } = request.body
        const input = { tenant, items, idempotencyKey: idempotencyKey(request) }
        const outcomes = await issueCertificates(writing(ctx, request), actorOf(request), input)
        const shown = documents(request.id)
        return {
          items: outcomes.map((outcome) =>
            'problem' in outcome ? { problem: shown(outcome.problem) } : outcome,
          ),
        }
      },
    )
  },
}

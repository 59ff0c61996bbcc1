import Type from 'typebox'
import { Certificate, CertificateRevocation } from '../../../certificates/certificate.ts'
import { revokeCertificate } from '../../../certificates/revocation/revoke.ts'
import { closed, exampleId, Id, Name, ProblemDocument } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { idempotent } from '../../idempotency.ts'
import { DryRun, writing } from '../../rehearsal.ts'
import { eachForItself, status } from './outcomes.ts'

const RevocationItem = closed(
  { id: Id, ...CertificateRevocation.properties },
  { title: 'RevocationItem' },
)

const Revocations = closed(
  { items: Type.Array(RevocationItem, { minItems: 1, maxItems: 500 }) },
  { title: 'NewRevocationBatch', examples: [{ items: [{ id: exampleId, reason: 'superseded' }] }] },
)

const Outcomes = closed(
  {
    items: Type.Array(
      Type.Union(
        [
          closed({ status, certificate: Certificate }, { title: 'RevokedItem' }),
          closed({ status, problem: ProblemDocument }, { title: 'UnrevokedItem' }),
        ],
        { title: 'RevocationBatchItem', description: 'It is revoked, or why it is not' },
      ),
    ),
  },
  { title: 'RevocationBatch' },
)

/** /v1/tenants/{tenant}/certificates:revoke */
export const revocationBatches: Routes = {
  revokeTenantCertificates(api, ctx) {
    api.post(
      // Two colons are one: the name of a custom method (AIP-136), not a parameter.
      '/tenants/:tenant/certificates::revoke',
      {
        ...idempotent(ctx),
        config: { idempotent: true, needs: 'write-certificates', problems: ['tenant-unknown'] },
        schema: {
          tags: ['certificates'],
          summary: 'Revoke up to 500 certificates, each for itself; answers in the same order',
          description:
            'One after the other, each as POST …/revoke would. One that cannot be revoked does not hold up the next: its place holds the problem instead. One that is revoked already stays as it is.',
          params: closed({ tenant: Name }),
          querystring: DryRun,
          body: Revocations,
          response: { 200: Outcomes },
        },
      },
      async (request) => {
        const { tenant } = request.params
        const [on, actor] = [writing(ctx, request), actorOf(request)]
        const items = await eachForItself(request.body.items, request.id, async (item) => {
          const { id, reason = 'unspecified', proof } = item
          const revoked = await revokeCertificate(on, actor, { tenant, id, reason, proof })
          return { status: 200, certificate: revoked }
        })
        return { items }
      },
    )
  },
}

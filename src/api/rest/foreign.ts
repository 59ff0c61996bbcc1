import { listForeign, listGateways } from '../../clusters/foreign/find.ts'
import { ForeignCertificate, ForeignQuery, Gateways } from '../../clusters/foreign/schema.ts'
import { ListOf } from '../../shared/lists/query.ts'
import { closed, Name } from '../../shared/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'

const tags = ['clusters']

/** /v1/foreign-certificates, and the gateways that they were read from */
export const foreignCertificates: Routes = {
  listForeignCertificates(api, ctx) {
    api.get(
      '/foreign-certificates',
      {
        config: { needs: 'read', platform: true, problems: ['cursor-refused'] },
        schema: {
          tags,
          summary:
            'List certificates that gateways hold and that nobody has here, soonest end first',
          description:
            'Of all registered clusters, or of one. Read every hour from the Envoy of each gateway pod, as its listeners are: certificates alone, no Secret and no key. Those of the mesh itself are left out. GET /v1/clusters/{cluster}/gateways says which pods could be read.',
          querystring: ForeignQuery,
          response: { 200: ListOf(ForeignCertificate) },
        },
      },
      (request) => listForeign(ctx, actorOf(request), request.query),
    )
  },

  listClusterGateways(api, ctx) {
    api.get(
      '/clusters/:cluster/gateways',
      {
        config: { needs: 'read', platform: true, problems: ['cluster-unknown'] },
        schema: {
          tags,
          summary: 'The gateway pods of a cluster, as they were last read for their certificates',
          description:
            'How many certificates each holds and how many of them are foreign, or why it could not be read. POST /v1/clusters/{cluster}/check has them read again.',
          params: closed({ cluster: Name }),
          response: { 200: Gateways },
        },
      },
      (request) => listGateways(ctx, actorOf(request), request.params.cluster),
    )
  },
}

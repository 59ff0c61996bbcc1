import { DeliveryQuery, getDelivery, listDeliveries } from '../../delivery/secrets/find.ts'
import { putDelivery } from '../../delivery/secrets/put.ts'
import { removeDelivery } from '../../delivery/secrets/remove.ts'
import { Delivery, DeliverySpec } from '../../delivery/secrets/schema.ts'
import { ListOf } from '../../shared/lists/query.ts'
import { closed, Name } from '../../shared/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { preconditionOf } from '../edge/conditions.ts'
import { DryRun, writing } from '../rehearsal.ts'

const tags = ['deliveries']

/** What of it can be written. */
const versioned = [...Object.keys(DeliverySpec.properties), 'removedAt']
const params = closed({ tenant: Name, delivery: Name })

/** /v1/tenants/{tenant}/deliveries */
export const deliveries: Routes = {
  putTenantDelivery(api, ctx) {
    api.put(
      '/tenants/:tenant/deliveries/:delivery',
      {
        config: {
          needs: 'write-certificates',
          versioned,
          problems: [
            'tenant-unknown',
            'certificate-unknown',
            'cluster-unknown',
            'delivery-refused',
            'delivery-conflict',
            'quota-exceeded',
          ],
        },
        schema: {
          tags,
          summary:
            'Have a certificate, and whatever takes its place, delivered as a Secret; the same twice changes nothing',
          description:
            'The Secret lies in the namespaces and on the clusters that are named, as kubernetes.io/tls; it follows renewals.',
          params,
          querystring: DryRun,
          body: DeliverySpec,
          response: { 200: Delivery, 201: Delivery },
        },
      },
      async (request, reply) => {
        const { tenant, delivery: name } = request.params
        const asked = { tenant, name, spec: request.body }
        const { delivery, created } = await putDelivery(
          writing(ctx, request),
          actorOf(request),
          asked,
          preconditionOf(request),
        )
        return reply.code(created ? 201 : 200).send(delivery)
      },
    )
  },

  listTenantDeliveries(api, ctx) {
    api.get(
      '/tenants/:tenant/deliveries',
      {
        config: { needs: 'read', problems: ['tenant-unknown', 'cursor-refused'] },
        schema: {
          tags,
          summary: 'List deliveries by name',
          description: 'With limit and cursor; nextCursor is null on the last page.',
          params: closed({ tenant: Name }),
          querystring: DeliveryQuery,
          response: { 200: ListOf(Delivery) },
        },
      },
      (request) => {
        const { tenant } = request.params
        return listDeliveries(ctx, actorOf(request), { tenant, ...request.query })
      },
    )
  },

  getTenantDelivery(api, ctx) {
    api.get(
      '/tenants/:tenant/deliveries/:delivery',
      {
        config: { needs: 'read', versioned, problems: ['tenant-unknown', 'delivery-unknown'] },
        schema: {
          tags,
          summary: 'Read a delivery: what was asked for, and how it stands on each cluster',
          description: 'With the objects on each cluster, and what stands in the way.',
          params,
          response: { 200: Delivery },
        },
      },
      (request) => {
        const { tenant, delivery: name } = request.params
        return getDelivery(ctx, actorOf(request), { tenant, name })
      },
    )
  },

  deleteTenantDelivery(api, ctx) {
    api.delete(
      '/tenants/:tenant/deliveries/:delivery',
      {
        config: { needs: 'write-certificates', problems: ['tenant-unknown', 'delivery-unknown'] },
        schema: {
          tags,
          summary:
            'Take the Secret off all its clusters; the delivery is gone when GET answers 404',
          description: 'A Secret that somebody else has taken over is left alone.',
          params,
          querystring: DryRun,
          response: { 202: Delivery },
        },
      },
      async (request, reply) => {
        const { tenant, delivery: name } = request.params
        return reply
          .code(202)
          .send(await removeDelivery(writing(ctx, request), actorOf(request), { tenant, name }))
      },
    )
  },
}

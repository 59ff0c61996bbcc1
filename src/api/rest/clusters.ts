import Type from 'typebox'
import { checkClusterNow } from '../../clusters/check.ts'
import { Cluster, ClusterPatch, NewCluster } from '../../clusters/cluster.ts'
import { ClusterQuery, getCluster, listClusters } from '../../clusters/find.ts'
import { findListeners } from '../../clusters/listeners/find.ts'
import { ListenerQuery, ListenerRow } from '../../clusters/listeners/row.ts'
import { findMeshTls } from '../../clusters/mesh/find.ts'
import { putMeshTls } from '../../clusters/mesh/put.ts'
import { MeshTlsChange, MeshTlsList, MeshTlsQuery, NewMeshTls } from '../../clusters/mesh/schema.ts'
import { changeCluster, createCluster, removeCluster } from '../../clusters/register.ts'
import { clusterRbac, RbacQuery } from '../../clusters/rights/find.ts'
import { Synced, syncCluster } from '../../clusters/sync.ts'
import { abandonCluster } from '../../hosts/abandon.ts'
import { ListOf } from '../../shared/lists/query.ts'
import { closed, Name, PageOf } from '../../shared/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { preconditionOf } from '../edge/conditions.ts'
import { idempotent } from '../idempotency.ts'
import { DryRun, dryRun, writing } from '../rehearsal.ts'

const tags = ['clusters']

/** What of it can be written. */
const versioned = ['api', 'drift', 'ingress', 'ingresses', 'server', 'updatedAt']
const params = closed({ cluster: Name })

/** /v1/clusters */
export const clusters: Routes = {
  createCluster(api, ctx) {
    api.post(
      '/clusters',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-clusters',
          platform: true,
          problems: ['cluster-exists', 'kubeconfig-refused'],
        },
        schema: {
          tags,
          summary: 'Register a cluster by its kubeconfig, or by server, CA and token',
          description:
            'The rights that it needs there are printed by GET /v1/clusters/{cluster}/rbac. It is checked right after; a host may be placed on it at once.',
          querystring: DryRun,
          body: NewCluster,
          response: { 201: Cluster },
        },
      },
      async (request, reply) =>
        reply
          .code(201)
          .send(await createCluster(writing(ctx, request), actorOf(request), request.body)),
    )
  },

  listClusters(api, ctx) {
    api.get(
      '/clusters',
      {
        config: { needs: 'read', problems: ['cursor-refused'] },
        schema: {
          tags,
          summary: 'List clusters by name',
          description:
            'With the result of the last check. Credentials are never shown. With limit and cursor; nextCursor is null on the last page.',
          querystring: ClusterQuery,
          response: { 200: ListOf(Cluster) },
        },
      },
      (request) => listClusters(ctx, actorOf(request), request.query),
    )
  },

  getCluster(api, ctx) {
    api.get(
      '/clusters/:cluster',
      {
        config: { needs: 'read', versioned, problems: ['cluster-unknown'] },
        schema: {
          tags,
          summary: 'Read a cluster',
          description:
            'With the result of the last check, item by item. Credentials are never shown.',
          params,
          response: { 200: Cluster },
        },
      },
      (request) => getCluster(ctx, actorOf(request), request.params.cluster),
    )
  },

  updateCluster(api, ctx) {
    api.patch(
      '/clusters/:cluster',
      {
        config: {
          needs: 'write-clusters',
          platform: true,
          versioned,
          problems: ['cluster-unknown', 'cluster-in-use', 'kubeconfig-refused'],
        },
        schema: {
          tags,
          consumes: ['application/merge-patch+json', 'application/json'],
          summary: 'Change the credentials or ingresses',
          description: 'A token alone takes the place of the one of before',
          params,
          querystring: DryRun,
          body: ClusterPatch,
          response: { 200: Cluster },
        },
      },
      (request) => {
        const { cluster: name } = request.params
        return changeCluster(
          writing(ctx, request),
          actorOf(request),
          { name, patch: request.body },
          preconditionOf(request),
        )
      },
    )
  },

  deleteCluster(api, ctx) {
    api.delete(
      '/clusters/:cluster',
      {
        config: {
          needs: 'write-clusters',
          platform: true,
          problems: ['cluster-unknown', 'cluster-in-use'],
        },
        schema: {
          tags,
          summary: 'Forget a cluster that carries no host; by force, one that will not come back',
          description:
            'force: the placements on it are forgotten too, and what they left on it stays there; hosts being removed that waited for it are gone',
          params,
          querystring: closed({ force: Type.Optional(Type.Boolean()), ...dryRun }),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const remove = request.query.force ? abandonCluster : removeCluster
        await remove(writing(ctx, request), actorOf(request), request.params.cluster)
        return reply.code(204).send(null)
      },
    )
  },

  checkCluster(api, ctx) {
    api.post(
      '/clusters/:cluster/check',
      {
        config: { needs: 'check-clusters', platform: true, problems: ['cluster-unknown'] },
        schema: {
          tags,
          summary: 'Look now whether it answers and lets us do what we must',
          description:
            'Versions, gateways, the kinds that are served and every right that is needed, item by item; the answer has the result.',
          params,
          response: { 200: Cluster },
        },
      },
      (request) => checkClusterNow(ctx, actorOf(request), request.params.cluster),
    )
  },

  getClusterRbac(api, ctx) {
    api.get(
      '/clusters/:cluster/rbac',
      {
        config: { needs: 'check-clusters', platform: true, problems: ['cluster-unknown'] },
        schema: {
          tags,
          summary: 'The least rights that the service needs there, as YAML for kubectl apply',
          description:
            'For what is asked for on the cluster now: the namespaces of its ingresses, and those that Secrets are delivered to',
          params,
          querystring: RbacQuery,
          response: {
            200: {
              description: 'ServiceAccount, Roles and bindings',
              content: { 'application/yaml': { schema: Type.String() } },
            },
          },
        },
      },
      async (request, reply) => {
        const { cluster } = request.params
        const manifest = await clusterRbac(ctx, actorOf(request), { ...request.query, cluster })
        return reply.type('application/yaml').send(manifest)
      },
    )
  },

  syncCluster(api, ctx) {
    api.post(
      '/clusters/:cluster/sync',
      {
        config: { needs: 'check-clusters', platform: true, problems: ['cluster-unknown'] },
        schema: {
          tags,
          summary: 'Have every host on the cluster looked at again',
          description:
            'What differs from what is wanted is put right. The answer says how many hosts that is.',
          params,
          querystring: DryRun,
          response: { 202: Synced },
        },
      },
      async (request, reply) =>
        reply
          .code(202)
          .send(await syncCluster(writing(ctx, request), actorOf(request), request.params.cluster)),
    )
  },

  listClusterListeners(api, ctx) {
    api.get(
      '/clusters/:cluster/listeners',
      {
        config: {
          needs: 'read',
          problems: ['cluster-unknown', 'cluster-unreachable', 'cursor-refused', 'busy'],
        },
        schema: {
          tags,
          summary: 'What the Envoys of its ingresses listen for, and where it leads',
          description:
            'The table of istioctl proxy-config listener from every gateway pod, with what it leaves out: listeners that Envoy refused and why, that warm up or drain; and pods that could not be asked. The API key of a tenant sees the chains of its own hosts.',
          params,
          querystring: ListenerQuery,
          response: { 200: PageOf(ListenerRow) },
        },
      },
      (request) => {
        const { cluster: name } = request.params
        return findListeners(ctx, actorOf(request), { name, query: request.query })
      },
    )
  },

  getClusterMeshTls(api, ctx) {
    api.get(
      '/clusters/:cluster/mesh-tls',
      {
        config: {
          needs: 'read',
          platform: true,
          problems: ['cluster-unknown', 'mesh-unknown', 'mesh-refused', 'cluster-unreachable'],
        },
        schema: {
          tags,
          summary: 'The minimum TLS versions of the mesh, by revision, and where each comes from',
          description:
            'As written in the mesh ConfigMap, and what Istio takes where nothing is written.',
          params,
          querystring: MeshTlsQuery,
          response: { 200: MeshTlsList },
        },
      },
      (request) => {
        const { cluster: name } = request.params
        return findMeshTls(ctx, actorOf(request), { name, query: request.query })
      },
    )
  },

  putClusterMeshTls(api, ctx) {
    api.put(
      '/clusters/:cluster/mesh-tls',
      {
        config: {
          needs: 'write-clusters',
          platform: true,
          problems: [
            'cluster-unknown',
            'mesh-unknown',
            'mesh-owned',
            'mesh-changed',
            'mesh-refused',
            'cluster-unreachable',
          ],
        },
        schema: {
          tags,
          summary:
            'Set the minimum TLS versions of the mesh in its ConfigMap, and nothing else there',
          description:
            'What is left out stays. Refused where Helm or an operator owns the map (mesh-owned), unless force is true; a change by others meanwhile is a mesh-changed and loses nothing.',
          params,
          querystring: closed({
            ...MeshTlsQuery.properties,
            dryRun: Type.Optional(
              Type.Boolean({ description: 'Tells the difference and writes nothing' }),
            ),
          }),
          body: NewMeshTls,
          response: { 200: MeshTlsChange },
        },
      },
      (request) => {
        const { params, query, body: asked } = request
        return putMeshTls(ctx, actorOf(request), { name: params.cluster, query, request: asked })
      },
    )
  },
}

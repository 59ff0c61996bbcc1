import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { labels, manager } from '../../src/delivery/renderer.ts'
import type { Host, ObjectRef } from '../../src/hosts/host.ts'
import { recordedRefs } from '../../src/hosts/objects.ts'
import { until } from '../support/process.ts'
import { realCluster } from '../support/real.ts'
import { afternoonCases } from './rows/afternoon.ts'
import { certificateCases } from './rows/certificates.ts'
import { listenerCases, meshCases, probeCases, serviceCases } from './rows/cluster.ts'
import { deliveryCases } from './rows/deliveries.ts'
import { gatewayCases } from './rows/gateways.ts'
import { refusalCases } from './rows/refusals.ts'
import { routeCases } from './rows/routes.ts'
import { type Http, openClusterStage, openSandboxStage, type Stage } from './stage.ts'

// The runbook, row by row (R1 to R9): on the sandbox as `npm start` brings it up, or on a real cluster
// (test/support/real.ts) with the workloads of examples/workloads.yaml. nginx reads its certificate when it
// starts: where it does not serve the new one, restart its pod.

const real = realCluster()
const stage = real ? await openClusterStage(real) : await openSandboxStage()

meshCases(stage)
serviceCases(stage)
gatewayCases(stage)
routeCases(stage)
listenerCases(stage)
probeCases(stage)
certificateCases(stage.http)
deliveryCases(stage)
refusalCases(stage)
afternoonCases(stage)
test('R9 hosts that are removed leave nothing on the cluster', () => clear(stage))

async function clear({ http, kubeconfig, timeoutSeconds }: Stage): Promise<void> {
  const hosts = '/v1/tenants/example/hosts'
  const carried = await carriers(http)
  const { body } = await http.get(`${hosts}?limit=500`).expect(200)
  const names: readonly string[] = body.items.map(({ name }: Host) => name)
  for (const name of names) await http.delete(`${hosts}/${name}`).expect(202)
  await until(
    'every host is taken off',
    async () => {
      const { body } = await http.get(hosts).expect(200)
      return body.items.length === 0 ? true : undefined
    },
    timeoutSeconds,
  )
  const kube = connect(kubeconfig)
  // Only where objects were: no right to list Secrets elsewhere is asked for (docs/operating.md).
  const places = new Map(recordedRefs(carried).map((ref) => [`${ref.kind} ${ref.namespace}`, ref]))
  assert.deepEqual([...new Set(carried.map(({ kind }) => kind))].toSorted(), [
    'Gateway',
    'Secret',
    'VirtualService',
  ])
  const labelSelector = `${labels.managedBy}=${manager}`
  for (const { apiVersion, kind, namespace } of places.values()) {
    const left = await kube.list({ apiVersion, kind }, { namespace, labelSelector })
    const names = left.map(({ metadata }) => metadata.name)
    for (const { name } of carried) assert.ok(!names.includes(name), `${kind} ${namespace}/${name}`)
  }
  kube.close()
}

/** The objects that carry the hosts of tenant `example`. */
async function carriers(http: Http): Promise<readonly ObjectRef[]> {
  const { body } = await http.get('/v1/tenants/example/hosts?limit=500').expect(200)
  const items: readonly Host[] = body.items
  return items.flatMap(({ status }) => status.clusters.flatMap(({ objects }) => objects))
}

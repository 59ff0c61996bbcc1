import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import Type from 'typebox'
import Value from 'typebox/value'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import type { Context } from '../../../src/core/context.ts'
import { labels, manager } from '../../../src/delivery/renderer.ts'
import type { Host } from '../../../src/hosts/host.ts'
import { until } from '../../support/process.ts'
import type { Http } from '../stage.ts'
import type { Asked } from './load.ts'
import type { Cluster } from './victims.ts'

/** All hosts of the tenant, as the API shows them. */
export async function hostsOf(http: Http): Promise<readonly Host[]> {
  const { body } = await http.get('/v1/tenants/shop/hosts?limit=500').expect(200)
  return body.items
}

/** The hosts are those that were asked for last, as they were asked for. */
export async function isAsAsked(http: Http, asked: Asked): Promise<void> {
  const wanted = [...asked.hosts].filter(([, { spec }]) => spec !== null)
  const hosts = await hostsOf(http)
  assert.deepEqual(
    hosts.map(({ name }) => name).toSorted(),
    wanted.map(([name]) => name).toSorted(),
  )
  for (const [name, { spec }] of wanted) {
    const host = hosts.find((each) => each.name === name)
    assert.ok(host)
    const { tls, http: plain, clusters, certificate, routes } = Value.Parse(Wanted, spec)
    assert.deepEqual([host.tls.mode, host.http], [tls.mode, plain], name)
    assert.deepEqual(host.clusters.toSorted(), clusters.toSorted(), name)
    assert.equal(host.certificate.organization, certificate.organization, name)
    assert.equal(host.routes.length, routes.length, name)
  }
}

const Wanted = Type.Object({
  tls: Type.Object({ mode: Type.String() }),
  http: Type.String(),
  clusters: Type.Array(Type.String()),
  certificate: Type.Object({ organization: Type.String() }),
  routes: Type.Array(Type.Unknown()),
})

const ours = [
  kinds.secret,
  kinds.istioGateway,
  kinds.istioVirtualService,
  kinds.istioDestinationRule,
]

/** A cluster holds what the database asks for, object by object, and nothing else of ours. */
export async function isExact(http: Http, cluster: Cluster): Promise<void> {
  const kube = connect(cluster.admin)
  try {
    const labelSelector = `${labels.managedBy}=${manager}`
    for (const { name, status } of await hostsOf(http)) {
      if (status.clusters.some((each) => each.cluster === cluster.name)) {
        await nothingToDo(http, name, cluster.name)
      }
    }
    const found: KubeObject[] = []
    for (const kind of ours) found.push(...(await kube.list(kind, { labelSelector })))
    const hosts = (await hostsOf(http)).flatMap((host) => {
      const placement = host.status.clusters.find((each) => each.cluster === cluster.name)
      return placement ? [{ host, placement }] : []
    })
    const recorded = hosts.flatMap(({ placement }) => placement.objects)
    assert.deepEqual(namesOf(found.map(refOf)), namesOf(recorded), `objects of ${cluster.name}`)
    for (const { host, placement } of hosts) {
      const objects = found.filter((object) =>
        placement.objects.some((ref) => nameOf(ref) === nameOf(refOf(object))),
      )
      isOf(host, objects)
    }
  } finally {
    kube.close()
  }
}

type Ref = { readonly kind: string; readonly namespace: string; readonly name: string }
const nameOf = ({ kind, namespace, name }: Ref) => `${kind} ${namespace}/${name}`
const namesOf = (refs: readonly Ref[]) => refs.map(nameOf).toSorted()

function refOf({ kind, metadata }: KubeObject): Ref {
  return { kind, namespace: metadata.namespace ?? '', name: metadata.name }
}

/** The plan is a dry run on the cluster: in time nothing would be written. What was revoked a moment ago
 *  reaches the gateways of hosts that are Synced after that. */
async function nothingToDo(http: Http, name: string, cluster: string): Promise<void> {
  type Planned = {
    readonly cluster: string
    readonly error: string | null
    readonly conflicts: readonly string[]
    readonly changes: readonly { readonly action: string }[]
  }
  let left = ''
  await until(`nothing is to be done for ${name}`, async () => {
    const { body } = await http.post(`/v1/tenants/shop/hosts/${name}/plan`).send({}).expect(200)
    const clusters: readonly Planned[] = body.clusters
    const plan = clusters.find((each) => each.cluster === cluster)
    assert.ok(plan, name)
    assert.deepEqual(plan.conflicts, [], name)
    // A cluster that was silent is waited for until its next check.
    left = plan.error ?? ''
    if (plan.error !== null) return undefined
    const writes = plan.changes.filter(({ action }) => action !== 'keep')
    left = JSON.stringify(writes)
    return writes.length === 0 ? true : undefined
  }).catch((error: unknown) => {
    throw new Error(`${name} on ${cluster}: ${left}`, { cause: error })
  })
}

const Gateway = Type.Object({
  servers: Type.Array(
    Type.Object({
      hosts: Type.Array(Type.String()),
      port: Type.Object({ number: Type.Integer() }),
      tls: Type.Optional(Type.Object({ mode: Type.Optional(Type.String()) })),
    }),
  ),
})
const VirtualService = Type.Object({ hosts: Type.Array(Type.String()) })

/** What is in the objects, read by eyes of our own. */
function isOf(host: Host, objects: readonly KubeObject[]): void {
  const of = (kind: string) => objects.filter((object) => object.kind === kind)
  const [gateway] = of('Gateway').map(({ spec }) => Value.Parse(Gateway, spec))
  const [secured] = gateway?.servers.filter(({ port }) => port.number === 443) ?? []
  assert.equal(secured?.tls?.mode, host.tls.mode, host.name)
  assert.ok(secured?.hosts.every((each) => each.split('/').at(-1) === host.name))
  const plain = gateway?.servers.filter(({ port }) => port.number === 80) ?? []
  assert.equal(plain.length, host.http === 'off' ? 0 : 1, host.name)
  const [routed] = of('VirtualService').map(({ spec }) => Value.Parse(VirtualService, spec))
  assert.deepEqual(routed?.hosts, [host.name])
  const leaves = leavesOf(of('Secret'))
  assert.deepEqual(
    leaves.map((leaf) => leaf.fingerprint256.replaceAll(':', '').toLowerCase()),
    [host.status.certificate?.fingerprintSha256],
    host.name,
  )
}

function leavesOf(secrets: readonly KubeObject[]): readonly X509Certificate[] {
  return secrets.flatMap(({ data }) => {
    const chain = data?.['tls.crt']
    return chain === undefined ? [] : [new X509Certificate(Buffer.from(chain, 'base64'))]
  })
}

/** Every certificate that was answered is the row of its order, byte by byte; each row is there once, is
 *  whole, and was told of once. */
export async function isOnRecord(ctx: Context, asked: Asked): Promise<number> {
  const rows = await ctx.db.read.certificate.findMany({
    select: { id: true, serial: true, status: true, der: true, commonName: true },
  })
  assert.deepEqual([...new Set(rows.map(({ status }) => status))].toSorted(), ['active', 'revoked'])
  assert.equal(new Set(rows.map(({ serial }) => serial)).size, rows.length)
  for (const [key, { answer, revoke }] of asked.orders) {
    const [row, ...more] = rows.filter(({ commonName }) => commonName === `client ${key}`)
    assert.deepEqual(more, [], `order ${key} has one certificate`)
    assert.ok(row?.der && answer)
    assert.equal(row.id, answer.id)
    assert.ok(new X509Certificate(answer.pem).raw.equals(row.der))
    assert.equal(row.status, revoke ? 'revoked' : 'active', key)
  }
  const told = await ctx.db.read.auditEvent.findMany({
    where: { action: 'certificate.issued' },
    select: { subjectId: true },
  })
  const ids = told.map(({ subjectId }) => subjectId)
  assert.deepEqual(ids.toSorted(), rows.map(({ id }) => id).toSorted())
  return rows.length
}

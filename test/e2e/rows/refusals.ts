import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import Type from 'typebox'
import Value from 'typebox/value'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { until } from '../../support/process.ts'
import { type Http, type Stage, serve, specs, untilSynced } from '../stage.ts'

const [{ to }] = specs.simple.routes

/** R9: what is refused is refused with one problem, and leaves no trace: neither in what the API lists nor
 *  on the cluster; and what others have on the cluster is named. */
export function refusalCases(stage: Stage): void {
  const { http, names } = stage
  const spec = { ...specs.simple, clusters: [stage.cluster] }
  const kube = connect(stage.kubeconfig)
  after(() => kube.close())
  const marker = join(stage.folder, 'a-program-ran')
  const running = `
apiVersion: v1
kind: Config
current-context: runs
clusters: [{ name: runs, cluster: { server: "https://127.0.0.1:1" } }]
contexts: [{ name: runs, context: { cluster: runs, user: runs } }]
users: [{ name: runs, user: { exec: { apiVersion: client.authentication.k8s.io/v1, command: touch, args: ["${marker}"] } } }]`
  // Of this run alone, as are the names of the runbook's hosts.
  const shared = (label: string) => names.off.replace('off', `${label}.shared`)
  const cluster = { name: 'refused', ingress: { address: '127.0.0.1:1' } }
  const host = (tenant: string, name: string, body: object) =>
    ['put', `/v1/tenants/${tenant}/hosts/${name}`, body] as const

  const rows: readonly (readonly [
    what: string,
    request: readonly ['put' | 'post', string, object],
    problem: string,
    field: string | undefined,
  ])[] = [
    [
      'a host outside the tenant’s domains',
      host('example', 'www.elsewhere.test', spec),
      'host-refused',
      '/name',
    ],
    [
      'a host that another tenant has',
      host('rival', names.simple, spec),
      'host-conflict',
      undefined,
    ],
    [
      'a wildcard over another tenant’s name',
      host('rival', shared('*'), spec),
      'host-conflict',
      undefined,
    ],
    [
      'a wildcard over another tenant’s domain',
      host('example', '*.example.com', spec),
      'host-refused',
      '/name',
    ],
    [
      'a route without a port',
      host('example', 'new.example.com', {
        ...spec,
        routes: [{ to: { service: to.service, namespace: to.namespace } }],
      }),
      'request-invalid',
      '/routes/0/to/port',
    ],
    [
      'an unknown field',
      host('example', 'new.example.com', { ...spec, htttp: 'off' }),
      'request-invalid',
      '/htttp',
    ],
    [
      'a bad kubeconfig',
      ['post', '/v1/clusters', { ...cluster, kubeconfig: 'nonsense' }],
      'kubeconfig-refused',
      '/kubeconfig',
    ],
    [
      'a kubeconfig that would run a program',
      ['post', '/v1/clusters', { ...cluster, kubeconfig: running }],
      'kubeconfig-refused',
      '/kubeconfig',
    ],
  ]

  test('R9 a refusal is one problem that says what to do, and nothing is stored or pushed', async (t) => {
    await tenants(http)
    await serve(stage, 'off', shared('api'))
    for (const [what, [method, url, body], problem, field] of rows) {
      await t.test(what, async () => {
        const before = [await stored(http), await pushed(kube)]
        const answer = await http[method](url).send(body)
        assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json\b/)
        assert.equal(answer.body.type, `https://gatesmith.dev/problems/${problem}`, answer.text)
        assert.equal(answer.status, answer.body.status)
        assert.ok(answer.status >= 400 && answer.status < 500)
        assert.ok(answer.body.detail.length > 10, answer.body.detail)
        if (field !== undefined) {
          const { violations } = answer.body
          assert.deepEqual(
            violations.map((each: { field: string }) => each.field),
            [field],
          )
          assert.ok(violations.every(({ message }: { message: string }) => message.length > 10))
        }
        assert.deepEqual([await stored(http), await pushed(kube)], before)
      })
    }
    assert.equal(existsSync(marker), false)
  })

  test('R9 a Gateway of others that has the name is named, nothing is pushed, and it can go', async () => {
    const name = names.off.replace('off', 'taken')
    const theirs = foreignGateway(name)
    await kube.apply(theirs)
    const { namespace = '', name: gateway } = theirs.metadata
    try {
      const url = `/v1/tenants/example/hosts/${name}`
      await http.put(url).send(spec).expect(201)
      const told = await until(
        'it is in the way',
        async () => {
          const { body } = await http.get(url).expect(200)
          const [placement] = body.status.clusters
          return placement.status === 'Conflict' ? placement : undefined
        },
        stage.timeoutSeconds,
      )
      assert.match(told.message, new RegExp(`${namespace}/${gateway}`))
      assert.deepEqual(told.objects, [])
      const { body: plan } = await http.post(`${url}/plan`).send({}).expect(200)
      assert.match(JSON.stringify(plan.clusters[0].conflicts), new RegExp(gateway))
    } finally {
      await kube.remove({ ...kinds.istioGateway, namespace, name: gateway })
    }
    await untilSynced(stage, name)
  })

  test('R9 Secrets are where the gateway finds them, and no server shares the name of its port', async () => {
    const { body } = await http.get('/v1/tenants/example/hosts?limit=500').expect(200)
    const hosts: readonly HostShown[] = body.items
    const synced = hosts.filter(({ status }) => status.clusters[0]?.status === 'Synced')
    assert.ok(synced.length >= 4)
    for (const { tls, status } of synced) {
      const objects = status.clusters.flatMap((each) => each.objects)
      const secrets = objects.filter(({ kind }) => kind === 'Secret')
      const where = tls.mode === 'PASSTHROUGH' ? 'test' : 'istio-system'
      assert.ok(secrets.length > 0)
      assert.ok(secrets.every(({ namespace }) => namespace === where))
      for (const { name, namespace } of objects.filter(({ kind }) => kind === 'Gateway')) {
        const found = await kube.get({ ...kinds.istioGateway, namespace, name })
        const { servers } = Value.Parse(Servers, found?.spec)
        const ports = servers.map(({ port }) => port.name)
        assert.equal(new Set(ports).size, ports.length)
      }
    }
  })
}

type HostShown = {
  readonly tls: { readonly mode: string }
  readonly status: {
    readonly clusters: readonly {
      readonly status: string
      readonly objects: readonly { readonly kind: string; namespace: string; name: string }[]
    }[]
  }
}

const Servers = Type.Object({
  servers: Type.Array(Type.Object({ port: Type.Object({ name: Type.String() }) })),
})

/** As somebody would make it by hand, in the namespace of the ingress. */
function foreignGateway(name: string): KubeObject {
  const port = { number: 443, name: 'https', protocol: 'HTTPS' }
  const tls = { mode: 'SIMPLE', credentialName: 'by-hand' }
  return {
    ...kinds.istioGateway,
    metadata: { namespace: 'istio-system', name: name.replaceAll('.', '-') },
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [{ port, hosts: [`istio-system/${name}`], tls }],
    },
  }
}

/** `rival` shares the domain, so that names alone stand between them; `deep` has a part of it. */
async function tenants(http: Http): Promise<void> {
  for (const [name, domain] of [
    ['rival', 'example.com'],
    ['deep', 'deep.example.com'],
  ]) {
    const own = { name, domains: [domain], namespaces: ['test'] }
    const made = await http
      .post('/v1/tenants')
      .send({ ...own, defaultAuthority: 'example-issuing' })
    assert.equal(made.status, 201, made.text)
  }
}

/** Everything that the API lists, by what it is known by. */
async function stored(http: Http): Promise<object> {
  const lists = {
    tenants: '/v1/tenants',
    authorities: '/v1/authorities',
    clusters: '/v1/clusters',
    certificates: '/v1/certificates',
    example: '/v1/tenants/example/hosts',
    rival: '/v1/tenants/rival/hosts',
    audit: '/v1/audit-events',
  }
  const found = await Promise.all(
    Object.entries(lists).map(async ([what, url]) => {
      const { body } = await http.get(`${url}?limit=500`).expect(200)
      const items: readonly Readonly<Record<'id' | 'name' | 'seq' | 'generation', unknown>>[] =
        body.items
      return [what, items.map(({ id, name, seq, generation }) => [id, name, seq, generation])]
    }),
  )
  return Object.fromEntries(found)
}

/** Every object that could carry a host, where hosts have theirs, whole, but for the revocation lists, which
 *  are renewed. */
async function pushed(kube: ReturnType<typeof connect>): Promise<readonly object[]> {
  const carrying = ['istio-system', 'test'].flatMap((namespace) =>
    [kinds.secret, kinds.istioGateway, kinds.istioVirtualService].map((kind) => ({
      kind,
      namespace,
    })),
  )
  // Gateways may be listed in the whole cluster, Secrets where they are delivered to (docs/operating.md).
  const found = await Promise.all(
    carrying.map(({ kind, namespace }) => kube.list(kind, { namespace })),
  )
  return found.flat().map(({ kind, metadata, spec: stated, data }) => {
    const { namespace, name, labels } = metadata
    return { kind, namespace, name, labels, stated, chain: data?.['tls.crt'] }
  })
}

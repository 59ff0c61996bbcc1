import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { type Http, type Stage, serve, specs } from './runbook.ts'

const clusters = ['sandbox']
const spec = { ...specs.simple, clusters }
const [{ to }] = specs.simple.routes

/** What is refused is refused with one problem, and leaves no trace: neither in what the API lists nor
 *  on the cluster of `kubeconfig`. */
export function refusalCases(stage: Stage, kubeconfig: string): void {
  const { http } = stage
  const kube = connect(kubeconfig)
  after(() => kube.close())
  const marker = join(stage.folder, 'a-program-ran')
  const running = kubeconfig.replace(/token: .*/, `exec: { command: touch, args: [${marker}] }`)
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
      host('rival', 'httpbin.example.com', spec),
      'host-conflict',
      undefined,
    ],
    [
      'a wildcard over another tenant’s name',
      host('rival', '*.shared.example.com', spec),
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

  test('a refusal is one problem that says what to do, and nothing is stored or pushed', async (t) => {
    await tenants(http)
    await serve(stage, 'off', 'api.shared.example.com')
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

/** Every object that could carry a host, whole, but for the revocation lists, which are renewed. */
async function pushed(kube: ReturnType<typeof connect>): Promise<readonly object[]> {
  const carrying = [kinds.secret, kinds.istioGateway, kinds.istioVirtualService]
  const found = await Promise.all(carrying.map((kind) => kube.list(kind)))
  return found.flat().map(({ kind, metadata, spec: stated, data }) => {
    const { namespace, name, labels } = metadata
    return { kind, namespace, name, labels, stated, chain: data?.['tls.crt'] }
  })
}

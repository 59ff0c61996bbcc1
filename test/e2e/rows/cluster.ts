import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../support/process.ts'
import { type Stage, serveSpec, specs, untilSynced } from '../stage.ts'

// What is asked of the cluster itself: R1 its mesh, R3 its Services, R7 its listeners, R8 its ingress.

type Setting = { readonly minProtocolVersion: string | null; readonly effective: string }
type Mesh = { readonly meshMTLS: Setting; readonly tlsDefaults: Setting }

/** R1: the minimum version of the mesh's TLS, read and set, and then as it was. */
export function meshCases({ http, cluster }: Stage): void {
  const url = `/v1/clusters/${cluster}/mesh-tls`

  test('R1 the minimum TLS version of the mesh is read and set', async (t) => {
    const first = await http.get(url)
    if (first.status === 502 && /forbidden/.test(first.text)) {
      return t.skip('the mesh configuration may not be read there')
    }
    assert.equal(first.status, 200, first.text)
    const read = async () => {
      const { body } = await http.get(url).expect(200)
      const [mesh]: readonly Mesh[] = body.revisions
      assert.ok(mesh)
      return mesh
    }
    const { minProtocolVersion } = (await read()).meshMTLS
    const put = (version: string | null, query = '') =>
      http.put(`${url}?${query}`).send({ meshMTLS: { minProtocolVersion: version }, force: true })
    const trial = await put('TLSV1_3', 'dryRun=true')
    assert.equal(trial.status, 200, trial.text)
    assert.match(trial.body.diff, /^\+\s+minProtocolVersion: TLSV1_3$/m)
    assert.equal((await read()).meshMTLS.minProtocolVersion, minProtocolVersion)
    try {
      const done = await put('TLSV1_3')
      assert.equal(done.status, 200, done.text)
      const { meshMTLS } = await read()
      assert.deepEqual([meshMTLS.minProtocolVersion, meshMTLS.effective], ['TLSV1_3', 'TLSV1_3'])
    } finally {
      await put(minProtocolVersion).expect(200)
    }
    assert.equal((await read()).meshMTLS.minProtocolVersion, minProtocolVersion)
  })

  test('R1 a version that a mesh cannot have is refused with the reason', async () => {
    const answer = await http.put(url).send({ meshMTLS: { minProtocolVersion: 'TLSV1_1' } })
    assert.equal(answer.status, 422)
    const [violation] = answer.body.violations
    assert.equal(violation.field, '/meshMTLS/minProtocolVersion')
  })
}

type Condition = { readonly type: string; readonly status: string; readonly message: string | null }

/** R3: whether the Services that routes lead to are there is said, and not Gatesmith's to change. */
export function serviceCases(stage: Stage): void {
  const name = stage.names.off.replace('off', 'service')
  const url = `/v1/tenants/example/hosts/${name}`
  const found = async (): Promise<Condition> => {
    const { body } = await stage.http.get(url).expect(200)
    const conditions: readonly Condition[] = body.status.clusters[0].conditions
    const condition = conditions.find(({ type }) => type === 'BackendsFound')
    assert.ok(condition)
    return condition
  }
  const put = (service: string, port: number) =>
    serveSpec(stage, name, { routes: [{ to: { service, namespace: 'test', port } }] })

  test('R3 a Service and a port that are not there are conditions of the host, until they are', async () => {
    await put('no-such-service', 80)
    const none = await found()
    assert.equal(none.status, 'False', `${none.message}`)
    assert.match(none.message ?? '', /no-such-service/)
    await put('httpbin', 81)
    const other = await found()
    assert.equal(other.status, 'False', `${other.message}`)
    assert.match(other.message ?? '', /httpbin.*81/)
    await put('httpbin', 80)
    const right = async () => ((await found()).status === 'True' ? true : undefined)
    await until('the Service is found', right, stage.timeoutSeconds)
  })
}

type Row = {
  readonly state: string
  readonly port: number | null
  readonly match: string | null
  readonly destination: string | null
  readonly host: string | null
  readonly reason: string | null
}

/** R7: which SNI leads to which route, as the gateway's Envoy has it. */
export function listenerCases({ http, cluster, names }: Stage): void {
  test('R7 the live gateway tells which SNI leads to which route', async (t) => {
    const { body } = await http.get(`/v1/clusters/${cluster}/listeners?limit=500`).expect(200)
    const rows: readonly Row[] = body.items
    const [unread] = rows.filter(({ state }) => state === 'unread')
    if (unread) {
      assert.match(unread.reason ?? '', /pods\/portforward/)
      return t.skip('no port may be forwarded to the gateway there')
    }
    const rowOf = (name: string) => {
      const [row, ...more] = rows.filter(({ match }) => match?.endsWith(`SNI: ${name}`))
      assert.ok(row, name)
      assert.deepEqual([row.state, row.host, more], ['active', name, []])
      return row
    }
    for (const host of ['simple', 'hello', 'mutual'] as const) {
      assert.match(rowOf(names[host]).destination ?? '', /^Route: https\.443\./)
    }
    const through = rowOf(names.through)
    assert.equal(through.destination, 'Cluster: outbound|443||nginx-service.test.svc.cluster.local')
    assert.equal(new Set(rows.map(({ state }) => state)).has('error'), false)
  })
}

type Check = { readonly check: string; readonly ok: boolean; readonly message?: string }
type Probed = {
  readonly mode: string
  readonly asExpected: boolean
  readonly checks: readonly Check[]
  readonly http: { readonly status: number } | null
  readonly tls: { readonly served: { readonly fingerprintSha256: string } } | null
}

/** R8: what curl would show, by Gatesmith itself. */
export function probeCases(stage: Stage): void {
  const { http, names } = stage
  const probe = async (host: keyof typeof specs, more: object = {}): Promise<Probed> => {
    const url = `/v1/tenants/example/hosts/${names[host]}/probe`
    const { body } = await http.post(url).send(more).expect(200)
    const [result, ...others]: readonly Probed[] = body.results
    assert.ok(result)
    assert.deepEqual(others, [])
    return result
  }

  test('R8 a probe sees the certificate that was issued, and the status, in each mode', async () => {
    for (const host of ['simple', 'mutual', 'through'] as const) {
      await untilSynced(stage, names[host])
      const result = await probe(host, { path: host === 'through' ? '/' : '/status/418' })
      const failed = result.checks.filter(({ ok }) => !ok)
      assert.deepEqual([host, result.asExpected, failed], [host, true, []])
      const { body } = await http.get(`/v1/tenants/example/hosts/${names[host]}`)
      assert.equal(result.tls?.served.fingerprintSha256, body.status.certificate.fingerprintSha256)
      // Who shows a MUTUAL host no certificate gets no answer, and that is as expected.
      const status = { simple: 418, mutual: undefined, through: 200 }[host]
      assert.equal(result.http?.status, status)
      assert.equal(result.mode, specs[host].tls.mode)
    }
  })

  test('R8 a probe shows a MUTUAL host a client certificate of the tenant, and none', async () => {
    const order = { profile: 'client', subject: { commonName: 'probed' } }
    const made = await http.post('/v1/tenants/example/certificates').send(order).expect(201)
    const { checks, asExpected } = await probe('mutual', { clientCertificate: made.body.id })
    assert.equal(asExpected, true, JSON.stringify(checks))
    const about = checks.filter(({ check }) => check.includes('client'))
    assert.ok(about.length >= 2, JSON.stringify(checks))
  })
}

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startCluster } from '../../sandbox/cluster.ts'
import { at, type Fields, fields, type Json, list, text } from '../../sandbox/json.ts'
import {
  caller,
  gateway,
  pathOf,
  secret,
  startTestCluster,
  type TestCluster,
  to,
  virtualService,
} from './support.ts'

const configMap = (name: string, data: Fields = {}, metadata: Fields = {}): Fields => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'test', ...metadata },
  data,
})
const server: Json = {
  port: { number: 443, name: 'https', protocol: 'HTTPS' },
  hosts: ['a.example.com'],
  tls: { mode: 'SIMPLE', credentialName: 'a' },
}
const collectionOf = (object: Fields): string => pathOf(object).replace(/\/[^/]*$/, '')

describe('the sandbox API server', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await startTestCluster()
  })
  after(() => cluster.stop())

  const refusals: readonly {
    title: string
    method: string
    path: string
    body?: Json
    headers?: Record<string, string>
    code: number
    reason: string
    says?: RegExp
  }[] = [
    {
      title: 'no token',
      method: 'GET',
      path: '/api/v1/namespaces',
      headers: { authorization: '' },
      code: 401,
      reason: 'Unauthorized',
    },
    {
      title: 'a wrong token',
      method: 'GET',
      path: '/apis',
      headers: { authorization: 'Bearer no' },
      code: 401,
      reason: 'Unauthorized',
    },
    {
      title: 'an unknown path',
      method: 'GET',
      path: '/apis/apps/v1/statefulsets',
      code: 404,
      reason: 'NotFound',
    },
    {
      title: 'an unknown object',
      method: 'GET',
      path: '/api/v1/namespaces/test/secrets/no',
      code: 404,
      reason: 'NotFound',
      says: /^secrets "no" not found$/,
    },
    {
      title: 'an unknown Istio object',
      method: 'GET',
      path: '/apis/networking.istio.io/v1/namespaces/test/gateways/no',
      code: 404,
      reason: 'NotFound',
      says: /^gateways\.networking\.istio\.io "no" not found$/,
    },
    {
      title: 'an unknown namespace',
      method: 'POST',
      path: '/api/v1/namespaces/no/configmaps',
      body: { metadata: { name: 'x' } },
      code: 404,
      reason: 'NotFound',
      says: /^namespaces "no" not found$/,
    },
    {
      title: 'a name twice',
      method: 'POST',
      path: '/api/v1/namespaces',
      body: { metadata: { name: 'test' } },
      code: 409,
      reason: 'AlreadyExists',
    },
    {
      title: 'a bad name',
      method: 'POST',
      path: '/api/v1/namespaces/test/configmaps',
      body: { metadata: { name: 'A_b' } },
      code: 422,
      reason: 'Invalid',
      says: /RFC 1123 subdomain/,
    },
    {
      title: 'no name',
      method: 'POST',
      path: '/api/v1/namespaces/test/configmaps',
      body: {},
      code: 422,
      reason: 'Invalid',
      says: /name or generateName is required/,
    },
    {
      title: 'another kind',
      method: 'POST',
      path: '/api/v1/namespaces/test/configmaps',
      body: secret('x', {}, 'test'),
      code: 400,
      reason: 'BadRequest',
    },
    {
      title: 'another namespace',
      method: 'POST',
      path: '/api/v1/namespaces/test/secrets',
      body: secret('x', {}, 'default'),
      code: 400,
      reason: 'BadRequest',
      says: /does not match the namespace/,
    },
    {
      title: 'another name',
      method: 'PUT',
      path: '/api/v1/namespaces/test/services/httpbin',
      body: { metadata: { name: 'other' } },
      code: 400,
      reason: 'BadRequest',
    },
    {
      title: 'a TLS Secret without its key',
      method: 'POST',
      path: '/api/v1/namespaces/test/secrets',
      body: secret('x', { 'tls.crt': 'x' }, 'test', 'kubernetes.io/tls'),
      code: 422,
      reason: 'Invalid',
      says: /data\[tls\.key\]: Required/,
    },
    {
      title: 'data that is not base64',
      method: 'POST',
      path: '/api/v1/namespaces/test/secrets',
      body: { metadata: { name: 'x' }, data: { a: '?' } },
      code: 400,
      reason: 'BadRequest',
      says: /illegal base64/,
    },
    {
      title: 'a Secret above 1 MiB',
      method: 'POST',
      path: '/api/v1/namespaces/test/secrets',
      body: secret('x', { a: 'x'.repeat(1024 * 1024 + 1) }, 'test'),
      code: 422,
      reason: 'Invalid',
      says: /Too long/,
    },
    {
      title: 'a body above 3 MiB',
      method: 'POST',
      path: '/api/v1/namespaces/test/configmaps',
      body: 'x'.repeat(3 * 1024 * 1024 + 1),
      code: 413,
      reason: 'RequestEntityTooLarge',
    },
    {
      title: 'a body that is no JSON',
      method: 'POST',
      path: '/api/v1/namespaces/test/configmaps',
      body: '{',
      code: 400,
      reason: 'BadRequest',
    },
    {
      title: 'an unknown content type',
      method: 'POST',
      path: '/api/v1/namespaces/test/configmaps',
      body: 'x',
      headers: { 'content-type': 'text/html' },
      code: 415,
      reason: 'UnsupportedMediaType',
    },
    {
      title: 'a strategic patch of an Istio kind',
      method: 'PATCH',
      path: '/apis/networking.istio.io/v1/namespaces/test/gateways/x',
      body: {},
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
      code: 415,
      reason: 'UnsupportedMediaType',
    },
    {
      title: 'a verb that is none',
      method: 'PUT',
      path: '/api/v1/namespaces/test/configmaps',
      body: {},
      code: 405,
      reason: 'MethodNotAllowed',
    },
    {
      title: 'a wrong dryRun',
      method: 'POST',
      path: '/api/v1/namespaces/test/configmaps?dryRun=Some',
      body: configMap('x'),
      code: 400,
      reason: 'BadRequest',
    },
    {
      title: 'a bad label',
      method: 'POST',
      path: '/api/v1/namespaces/test/configmaps',
      body: configMap('x', {}, { labels: { a: 'b c' } }),
      code: 422,
      reason: 'Invalid',
    },
    {
      title: 'a selector that cannot be read',
      method: 'GET',
      path: '/api/v1/secrets?labelSelector=%2Ca%3D%3Db%20c',
      code: 400,
      reason: 'BadRequest',
    },
    {
      title: 'a field that cannot be selected',
      method: 'GET',
      path: '/api/v1/secrets?fieldSelector=data%3Dx',
      code: 400,
      reason: 'BadRequest',
    },
    {
      title: 'a watch from something that is no revision',
      method: 'GET',
      path: '/api/v1/secrets?watch=true&resourceVersion=-1',
      code: 500,
      reason: '',
      says: /resourceVersion: Invalid value: "-1"/,
    },
    {
      title: 'an apply without a manager',
      method: 'PATCH',
      path: '/api/v1/namespaces/test/configmaps/x',
      body: configMap('x'),
      headers: { 'content-type': 'application/apply-patch+yaml' },
      code: 422,
      reason: 'Invalid',
      says: /fieldManager: Required value/,
    },
    {
      title: 'an apply of a field that is not declared',
      method: 'PATCH',
      path: '/apis/networking.istio.io/v1/namespaces/test/gateways/x?fieldManager=a',
      body: gateway('x', [server], { spec: { bogus: 1 } }),
      headers: { 'content-type': 'application/apply-patch+yaml' },
      code: 500,
      reason: 'InternalError',
      says: /\.spec\.bogus: field not declared in schema/,
    },
    {
      title: 'an unknown field when strict',
      method: 'POST',
      path: '/apis/networking.istio.io/v1/namespaces/test/gateways?fieldValidation=Strict',
      body: gateway('x', [server], { spec: { bogus: 1 } }),
      code: 400,
      reason: 'BadRequest',
      says: /unknown field "spec\.bogus"/,
    },
    {
      title: 'a wrong type',
      method: 'POST',
      path: '/apis/networking.istio.io/v1/namespaces/test/gateways',
      body: gateway('x', [{ port: { number: '443', name: 'a', protocol: 'HTTPS' }, hosts: ['*'] }]),
      code: 422,
      reason: 'Invalid',
      says: /spec\.servers\[0\]\.port\.number in body must be of type integer/,
    },
    {
      title: 'a word that is none',
      method: 'POST',
      path: '/apis/networking.istio.io/v1/namespaces/test/gateways',
      body: gateway('x', [
        {
          port: { number: 443, name: 'a', protocol: 'HTTPS' },
          hosts: ['*'],
          tls: { mode: 'EASY' },
        },
      ]),
      code: 422,
      reason: 'Invalid',
      says: /Unsupported value: "EASY"/,
    },
    {
      title: 'what the webhook denies',
      method: 'POST',
      path: '/apis/networking.istio.io/v1/namespaces/test/gateways',
      body: gateway('x', [{ port: { number: 443, name: 'a', protocol: 'HTTPS' }, hosts: ['*'] }]),
      code: 400,
      reason: 'BadRequest',
      says: /^admission webhook "validation\.istio\.io" denied the request: configuration is invalid: /,
    },
  ]

  for (const { title, method, path, body, headers, code, reason, says } of refusals) {
    test(`${title} is refused with ${code} ${reason}`, async () => {
      const reply = await cluster.call(method, path, body, headers)
      assert.equal(reply.status, code, JSON.stringify(reply.body))
      assert.equal(text(reply.body, 'kind'), 'Status')
      assert.equal(text(reply.body, 'reason'), reason)
      assert.equal(at(reply.body, 'code'), code)
      if (says) assert.match(text(reply.body, 'message'), says)
    })
  }

  test('an object is created, read, replaced with its version, and deleted', async () => {
    const object = configMap('life', { a: '1' })
    const created = await cluster.call('POST', collectionOf(object), object)
    assert.equal(created.status, 201)
    const metadata = fields(created.body, 'metadata')
    assert.match(String(metadata.uid), /^[0-9a-f-]{36}$/)
    assert.match(String(metadata.creationTimestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const changed = { ...fields(created.body), data: { a: '2' } }
    const replaced = await cluster.call('PUT', pathOf(object), changed)
    assert.equal(replaced.status, 200)
    assert.ok(
      Number(text(replaced.body, 'metadata', 'resourceVersion')) > Number(metadata.resourceVersion),
    )
    const late = await cluster.call('PUT', pathOf(object), { ...changed, data: { a: '3' } })
    assert.equal(late.status, 409)
    assert.match(text(late.body, 'message'), /the object has been modified/)
    const wrong = await cluster.call('DELETE', pathOf(object), { preconditions: { uid: 'other' } })
    assert.equal(wrong.status, 409)
    assert.equal((await cluster.call('DELETE', pathOf(object))).status, 200)
    assert.equal((await cluster.call('GET', pathOf(object))).status, 404)
  })

  test('what changes nothing writes nothing', async () => {
    const created = await cluster.apply(configMap('same', { a: '1' }))
    const again = await cluster.call('PUT', pathOf(created), created)
    assert.equal(
      text(again.body, 'metadata', 'resourceVersion'),
      text(created, 'metadata', 'resourceVersion'),
    )
  })

  test('the generation of Istio kinds counts changes of the spec only', async () => {
    const object = virtualService('counted', {
      hosts: ['a.example.com'],
      gateways: ['g'],
      http: [{ route: to('httpbin', 80) }],
    })
    assert.equal(at(await cluster.apply(object), 'metadata', 'generation'), 1)
    const labelled = virtualService('counted', fields(object, 'spec'), { labels: { a: 'b' } })
    assert.equal(at(await cluster.apply(labelled), 'metadata', 'generation'), 1)
    const spec = { ...fields(object, 'spec'), hosts: ['b.example.com'] }
    assert.equal(
      at(await cluster.apply(virtualService('counted', spec)), 'metadata', 'generation'),
      2,
    )
  })

  test('both API versions of an Istio kind show one object', async () => {
    const object = await cluster.apply(gateway('versions', [server]))
    const beta = await cluster.call('GET', pathOf(object).replace('/v1/', '/v1beta1/'))
    assert.equal(text(beta.body, 'apiVersion'), 'networking.istio.io/v1beta1')
    assert.equal(text(beta.body, 'metadata', 'uid'), text(object, 'metadata', 'uid'))
  })

  test('stringData becomes data and is never shown; the type of a Secret stays', async () => {
    const body = { metadata: { name: 'words' }, stringData: { a: 'b' } }
    const created = await cluster.call('POST', '/api/v1/namespaces/test/secrets', body)
    assert.deepEqual(at(created.body, 'data'), { a: 'Yg==' })
    assert.equal(at(created.body, 'stringData'), undefined)
    assert.equal(text(created.body, 'type'), 'Opaque')
    const retyped = { ...fields(created.body), type: 'other' }
    const refused = await cluster.call('PUT', '/api/v1/namespaces/test/secrets/words', retyped)
    assert.equal(refused.status, 422)
    assert.match(text(refused.body, 'message'), /type: Invalid value: "other": field is immutable/)
  })

  test('dryRun answers as if, and keeps nothing', async () => {
    const object = configMap('tried', { a: '1' })
    const created = await cluster.call('POST', `${collectionOf(object)}?dryRun=All`, object)
    assert.equal(created.status, 201)
    assert.equal((await cluster.call('GET', pathOf(object))).status, 404)
    await cluster.apply(object, 'fieldManager=a&dryRun=All')
    assert.equal((await cluster.call('GET', pathOf(object))).status, 404)
    await cluster.apply(object)
    assert.equal((await cluster.call('DELETE', `${pathOf(object)}?dryRun=All`)).status, 200)
    assert.equal((await cluster.call('GET', pathOf(object))).status, 200)
  })

  test('unknown fields are warned of and pruned when not strict', async () => {
    const object = gateway('pruned', [server], { spec: { bogus: 1 } })
    const created = await cluster.call('POST', collectionOf(object), object)
    assert.equal(created.status, 201)
    assert.match(String(created.headers.warning), /unknown field \\"spec\.bogus\\"/)
    assert.equal(at(created.body, 'spec', 'bogus'), undefined)
  })

  test('lists are narrowed by labels, fields, limit and continue', async () => {
    for (const [name, tier] of [
      ['l1', 'a'],
      ['l2', 'a'],
      ['l3', 'b'],
    ] as const) {
      await cluster.apply(configMap(name, {}, { labels: { tier, listed: 'yes' } }))
    }
    const names = async (query: string): Promise<string[]> => {
      const reply = await cluster.call('GET', `/api/v1/configmaps?${query}`)
      return list(reply.body, 'items').map((item) => text(item, 'metadata', 'name'))
    }
    const select = (selector: string) => names(`labelSelector=${encodeURIComponent(selector)}`)
    assert.deepEqual(await select('tier=a,listed'), ['l1', 'l2'])
    assert.deepEqual(await select('listed=yes,tier!=a'), ['l3'])
    assert.deepEqual(await select('tier in (a, b),tier notin (a)'), ['l3'])
    assert.deepEqual(await select('listed,!tier'), [])
    assert.deepEqual(await names('fieldSelector=metadata.name%3Dl2'), ['l2'])
    const first = await cluster.call('GET', '/api/v1/configmaps?labelSelector=listed&limit=2')
    assert.equal(list(first.body, 'items').length, 2)
    const rest = encodeURIComponent(text(first.body, 'metadata', 'continue'))
    assert.deepEqual(await names(`labelSelector=listed&limit=2&continue=${rest}`), ['l3'])
    const removed = await cluster.call(
      'DELETE',
      '/api/v1/namespaces/test/configmaps?labelSelector=tier%3Da',
    )
    assert.equal(removed.status, 200)
    assert.deepEqual(await select('listed'), ['l3'])
  })

  test('a namespace takes all that is in it along', async () => {
    await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'brief' } })
    await cluster.apply(configMap('inside', {}, { namespace: 'brief' }))
    assert.equal((await cluster.call('DELETE', '/api/v1/namespaces/brief')).status, 200)
    assert.equal(
      (await cluster.call('GET', '/api/v1/namespaces/brief/configmaps/inside')).status,
      404,
    )
  })

  test('an object with finalizers is marked, and goes when they do', async () => {
    const object = await cluster.apply(configMap('held', {}, { finalizers: ['example.com/held'] }))
    await cluster.call('DELETE', pathOf(object))
    const marked = await cluster.call('GET', pathOf(object))
    assert.ok(text(marked.body, 'metadata', 'deletionTimestamp'))
    const patch = { metadata: { finalizers: null } }
    await cluster.call('PATCH', pathOf(object), patch, {
      'content-type': 'application/merge-patch+json',
    })
    assert.equal((await cluster.call('GET', pathOf(object))).status, 404)
  })

  test('an access review is always allowed', async () => {
    for (const kind of ['selfsubjectaccessreviews', 'subjectaccessreviews']) {
      const reply = await cluster.call('POST', `/apis/authorization.k8s.io/v1/${kind}`, {
        spec: {},
      })
      assert.equal(reply.status, 201)
      assert.equal(at(reply.body, 'status', 'allowed'), true)
    }
  })

  test('a busy port gets one sentence, and nothing is left running', async () => {
    const busy = createServer()
    await once(busy.listen(0, '127.0.0.1'), 'listening')
    const address = busy.address()
    assert.ok(address && typeof address === 'object')
    const directory = await mkdtemp(join(tmpdir(), 'gatesmith-busy-'))
    const ports = { apiPort: 0, tlsPort: 0, plainPort: address.port }
    await assert.rejects(
      startCluster({ directory, host: '127.0.0.1', ...ports }),
      new RegExp(
        `^Error: Port ${address.port} on 127.0.0.1 is already in use: choose another port`,
      ),
    )
    busy.close()
    await rm(directory, { recursive: true, force: true })
  })
})

/** A sandbox in a process of its own. */
async function holder(directory: string): Promise<{ child: ChildProcess; kubeconfig: string }> {
  const module = new URL('../../sandbox/cluster.ts', import.meta.url).href
  const code = `import { startCluster } from ${JSON.stringify(module)}
    const ports = { apiPort: 0, tlsPort: 0, plainPort: 0 }
    const { kubeconfig } = await startCluster({ directory: process.argv[1], host: '127.0.0.1', ...ports })
    console.log(JSON.stringify(kubeconfig))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(child.stdout, 'data')
  return { child, kubeconfig: String(JSON.parse(String(line))) }
}

describe('the state of the sandbox', () => {
  test('every answered write survives a kill, with its revision, token and CA', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gatesmith-kill-'))
    const { child, kubeconfig } = await holder(directory)
    const call = caller(kubeconfig)
    let answered = 0
    const writing = (async () => {
      for (let n = 0; ; n++) {
        const reply = await call('POST', '/api/v1/namespaces/test/configmaps', configMap(`n${n}`))
        assert.equal(reply.status, 201)
        answered = n + 1
        if (n === 40) child.kill('SIGKILL')
      }
    })()
    await assert.rejects(writing)
    assert.ok(answered > 40)
    await appendFile(join(directory, 'objects.jsonl'), '{"revision":9999,"plural":"configm')
    const cluster = await startTestCluster(directory)
    const kept = await cluster.call('GET', '/api/v1/namespaces/test/configmaps')
    assert.ok(list(kept.body, 'items').length >= answered)
    const before = Number(text(kept.body, 'metadata', 'resourceVersion'))
    const next = await cluster.apply(configMap('next'))
    assert.equal(Number(text(next, 'metadata', 'resourceVersion')), before + 1)
    const token = /token: (\S+)/.exec(kubeconfig)?.[1]
    assert.ok(token && cluster.sandbox.kubeconfig.includes(token))
    const old = await cluster.call(
      'GET',
      `/api/v1/configmaps?watch=true&resourceVersion=${before - 3}`,
    )
    // As the API server tells it: inside an answer that began well.
    assert.deepEqual(
      [old.status, text(old.body, 'type'), at(old.body, 'object', 'code')],
      [200, 'ERROR', 410],
    )
    await cluster.stop()
  })

  test('revisions never go back, even when the newest objects are gone', async () => {
    const first = await startTestCluster()
    const object = configMap('passing')
    await first.apply(object)
    await first.remove(object)
    const gone = await first.call('GET', '/api/v1/configmaps')
    await first.sandbox.stop()
    for (const round of [1, 2]) {
      const again = await startTestCluster(first.directory)
      const listed = await again.call('GET', '/api/v1/configmaps')
      assert.equal(
        text(listed.body, 'metadata', 'resourceVersion'),
        text(gone.body, 'metadata', 'resourceVersion'),
        `${round}`,
      )
      await again.sandbox.stop()
    }
    await rm(first.directory, { recursive: true, force: true })
  })
})

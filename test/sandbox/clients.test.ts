import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import {
  KubeConfig,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  Watch,
} from '@kubernetes/client-node'
import { stringify } from 'yaml'
import { issue } from './pki.ts'
import {
  gateway,
  secret,
  startTestCluster,
  type TestCluster,
  to,
  virtualService,
} from './support.ts'

const run = promisify(execFile)

function present(program: string): boolean {
  try {
    execFileSync(
      program,
      [
        program === 'kubectl' ? 'version' : '--version',
        ...(program === 'kubectl' ? ['--client'] : []),
      ],
      { stdio: 'ignore' },
    )
    return true
  } catch {
    return false
  }
}

async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const deadline = Date.now() + 150_000; Date.now() < deadline; ) {
    const found = look()
    if (found !== undefined) return found
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error(`not seen in time: ${what}`)
}

const server = {
  port: { number: 443, name: 'https', protocol: 'HTTPS' },
  hosts: ['a.example.com'],
  tls: { mode: 'SIMPLE', credentialName: 'a' },
}
const apiVersion = 'networking.istio.io/v1'

describe('the Kubernetes client library', () => {
  let cluster: TestCluster
  let config: KubeConfig
  before(async () => {
    cluster = await startTestCluster()
    config = new KubeConfig()
    config.loadFromString(cluster.sandbox.kubeconfig)
  })
  after(() => cluster.stop())

  const apply = (object: object, manager: string, force?: boolean) =>
    KubernetesObjectApi.makeApiClient(config).patch(
      { ...object },
      undefined,
      undefined,
      manager,
      force,
      PatchStrategy.ServerSideApply,
    )

  test('applies, reads, lists and deletes by its generic API, and sees conflicts', async () => {
    const api = KubernetesObjectApi.makeApiClient(config)
    await apply(gateway('lib', [server]), 'gatesmith')
    await apply(gateway('lib', [server]), 'gatesmith')
    const read = await api.read({
      apiVersion,
      kind: 'Gateway',
      metadata: { name: 'lib', namespace: 'test' },
    })
    assert.equal(read.metadata?.generation, 1)
    const other = { ...server, hosts: ['b.example.com'] }
    await assert.rejects(apply(gateway('lib', [other]), 'someone'), { code: 409 })
    await apply(gateway('lib', [other]), 'someone', true)
    const listed = await api.list(apiVersion, 'Gateway', 'test')
    assert.equal(listed.items.length, 1)
    await api.delete(read)
    await assert.rejects(
      api.read({ apiVersion, kind: 'Gateway', metadata: { name: 'lib', namespace: 'test' } }),
      { code: 404 },
    )
  })

  test('watches by labels: what begins to match is added, what ceases to is deleted', async () => {
    const events: string[] = []
    const watch = new Watch(config)
    const path = '/api/v1/namespaces/test/secrets'
    const controller = await watch.watch(
      path,
      { labelSelector: 'ours=yes' },
      (phase, object: { metadata: { name: string } }) =>
        events.push(`${phase} ${object.metadata.name}`),
      () => {},
    )
    const labelled = (ours: string) => ({
      ...secret('seen', {}, 'test'),
      metadata: { name: 'seen', namespace: 'test', labels: { ours } },
    })
    await cluster.apply(secret('unseen', {}, 'test'))
    await cluster.apply(labelled('no'))
    await cluster.apply(labelled('yes'))
    await cluster.apply({ ...labelled('yes'), data: { a: 'YQ==' } })
    await cluster.apply(labelled('no'))
    await cluster.apply(labelled('yes'))
    await cluster.remove(labelled('yes'))
    await until('five events', () => events[4])
    assert.deepEqual(events, [
      'ADDED seen',
      'MODIFIED seen',
      'DELETED seen',
      'ADDED seen',
      'DELETED seen',
    ])
    controller.abort()
  })

  test('an informer lists and then follows', async () => {
    const api = KubernetesObjectApi.makeApiClient(config)
    await cluster.apply(gateway('first', [server]))
    const names = new Set<string | undefined>()
    const informer = makeInformer(config, `/apis/${apiVersion}/gateways`, () =>
      api.list(apiVersion, 'Gateway'),
    )
    informer.on('add', (object) => names.add(object.metadata?.name))
    informer.on('delete', (object) => names.delete(object.metadata?.name))
    await informer.start()
    await cluster.apply(gateway('second', [server]))
    await until('both', () => (names.has('first') && names.has('second') ? true : undefined))
    await cluster.remove(gateway('first', []))
    await until('one', () => (names.has('first') ? undefined : true))
    await informer.stop()
  })
})

describe('kubectl', { skip: present('kubectl') ? false : 'kubectl is not on PATH' }, () => {
  let cluster: TestCluster
  let directory: string
  before(async () => {
    cluster = await startTestCluster()
    directory = await mkdtemp(join(tmpdir(), 'gatesmith-kubectl-'))
    await writeFile(join(directory, 'kubeconfig'), cluster.sandbox.kubeconfig)
  })
  after(async () => {
    await cluster.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const kubectl = async (...args: string[]): Promise<string> => {
    const env = { ...process.env, KUBECONFIG: join(directory, 'kubeconfig'), HOME: directory }
    const { stdout, stderr } = await run('kubectl', args, { env, cwd: directory })
    return stdout + stderr
  }
  const manifest = async (name: string, ...objects: object[]): Promise<string> => {
    const path = join(directory, `${name}.yaml`)
    await writeFile(path, objects.map((object) => stringify(object)).join('---\n'))
    return path
  }

  test('get prints tables across namespaces', async () => {
    const printed = await kubectl('get', 'namespaces,services,pods,configmaps', '-A')
    assert.match(printed, /namespace\/istio-system +Active/)
    assert.match(printed, /service\/istio-ingressgateway +ClusterIP .* 80\/TCP,443\/TCP/)
    assert.match(printed, /pod\/istio-ingressgateway-sandbox +1\/1 +Running/)
  })

  test('apply --server-side, apply, get, label, patch and delete work with validation on', async () => {
    const file = await manifest(
      'pair',
      gateway('by-hand', [server]),
      virtualService('by-hand', {
        hosts: ['a.example.com'],
        gateways: ['by-hand'],
        http: [{ route: to('httpbin', 80) }],
      }),
    )
    assert.match(
      await kubectl('apply', '--server-side', '-f', file),
      /gateway.*by-hand serverside-applied/,
    )
    assert.match(
      await kubectl('get', 'gateways,virtualservices,secrets', '-A'),
      /by-hand +\["by-hand"\] +\["a\.example\.com"\]/,
    )
    await kubectl('label', 'gateway', 'by-hand', '-n', 'test', 'a=b')
    await kubectl(
      'patch',
      'gw',
      'by-hand',
      '-n',
      'test',
      '--type',
      'merge',
      '-p',
      '{"metadata":{"annotations":{"c":"d"}}}',
    )
    assert.match(await kubectl('get', 'gw', '-A', '-l', 'a=b', '-o', 'yaml'), /c: d/)
    assert.match(await kubectl('delete', '-f', file), /by-hand" deleted/)
    assert.match(await kubectl('apply', '-f', file), /by-hand created/)
    assert.match(await kubectl('apply', '-f', file), /by-hand unchanged/)
    assert.match(await kubectl('delete', '-f', file), /by-hand" deleted/)
    assert.match(await kubectl('create', '-f', file), /by-hand created/)
    await assert.rejects(kubectl('create', '-f', file), /AlreadyExists/)
  })

  test('an unknown field is refused before anything is stored', async () => {
    const file = await manifest('unknown', gateway('unknown', [{ ...server, bogus: 1 }]))
    await assert.rejects(
      kubectl('apply', '--server-side', '-f', file),
      /unknown field "spec\.servers\[0\]\.bogus"/,
    )
    await assert.rejects(kubectl('get', 'gw', '-n', 'test', 'unknown'), /NotFound/)
  })

  test('create secret tls, create configmap and create namespace, as the runbook has them', async () => {
    const { cert, key } = await issue('kubectl.example.com', 'server', await issue('root', 'root'))
    await writeFile(join(directory, 'tls.crt'), cert)
    await writeFile(join(directory, 'tls.key'), key)
    await kubectl('create', 'namespace', 'made')
    await kubectl(
      'create',
      '-n',
      'made',
      'secret',
      'tls',
      'pair',
      '--key=tls.key',
      '--cert=tls.crt',
    )
    await kubectl('create', '-n', 'made', 'configmap', 'words', '--from-literal=a=b')
    const printed = await kubectl('get', '-n', 'made', 'secrets,configmaps')
    assert.match(printed, /secret\/pair +kubernetes\.io\/tls +2/)
    assert.match(printed, /configmap\/words +1/)
    assert.match(await kubectl('delete', 'namespace', 'made'), /deleted/)
  })

  test('auth can-i, api-resources, explain and diff find what they ask for', async () => {
    assert.match(await kubectl('auth', 'can-i', 'list', 'secrets'), /yes/)
    assert.match(
      await kubectl('api-resources'),
      /virtualservices +vs +networking\.istio\.io\/v1 +true/,
    )
    const file = await manifest('diff', gateway('diffed', [server]))
    await assert.rejects(kubectl('diff', '-f', file), { stdout: /credentialName/ })
  })
})

describe('curl', { skip: present('curl') ? false : 'curl is not on PATH' }, () => {
  test('the lines of the runbook answer', async () => {
    const cluster = await startTestCluster()
    const directory = await mkdtemp(join(tmpdir(), 'gatesmith-curl-'))
    const host = 'httpbin.example.com'
    const root = await issue('example.com', 'root')
    const pair = await issue(host, 'server', root)
    const client = await issue('client.example.com', 'client', root)
    for (const [name, words] of Object.entries({
      'ca.crt': root.cert,
      'c.crt': client.cert,
      'c.key': client.key,
    })) {
      await writeFile(join(directory, name), words)
    }
    const tls = { mode: 'MUTUAL', credentialName: 'mutual' }
    await cluster.apply(
      secret('mutual', { 'tls.crt': pair.cert, 'tls.key': pair.key, 'ca.crt': root.cert }),
    )
    await cluster.apply(gateway('curled', [{ ...server, hosts: [host], tls }]))
    await cluster.apply(
      virtualService('curled', {
        hosts: [host],
        gateways: ['curled'],
        http: [{ route: to('httpbin', 80) }],
      }),
    )
    const port = cluster.sandbox.tlsPort
    const curl = (...more: string[]) =>
      run(
        'curl',
        [
          '-sS',
          '--max-time',
          '10',
          '--resolve',
          `${host}:${port}:127.0.0.1`,
          '--cacert',
          'ca.crt',
          '-w',
          '%{http_code}',
          ...more,
          `https://${host}:${port}/status/418`,
        ],
        { cwd: directory },
      )
    const { stdout } = await curl('--cert', 'c.crt', '--key', 'c.key')
    assert.match(stdout, /teapot[\s\S]*418$/)
    await assert.rejects(curl())
    await cluster.stop()
    await rm(directory, { recursive: true, force: true })
  })
})

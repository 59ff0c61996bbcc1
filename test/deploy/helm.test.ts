import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { after, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { settings } from '../../src/core/settings/environment.ts'
import { openTestDatabase } from '../support/context.ts'
import { freePorts, interrupt, openFolder, startProcess, until } from '../support/process.ts'
import { realCluster } from '../support/real.ts'
import {
  type Container,
  chart,
  kubeVersion,
  type Labels,
  probes,
  type Rendered,
  render,
  renderText,
} from './chart.ts'

const run = promisify(execFile)
const read = (name: string) => readFileSync(join(chart, name), 'utf8')
const version: unknown = JSON.parse(readFileSync(resolve('package.json'), 'utf8')).version

test('the chart has the version of the release', () => {
  const { version: own, appVersion } = parse(read('Chart.yaml'))
  assert.deepEqual([own, appVersion], [version, version])
})

const helm = spawnSync('helm', ['version']).status === 0
const skip = helm ? false : 'helm is not on PATH'
const note = skip ? ` (skipped: ${skip})` : ''

const serviceAccount = { name: 'gatesmith', audience: 'vault' }

/** All that the chart can make. */
const everything = {
  imagePullSecrets: ['pull'],
  database: {
    direct: 'direct',
    ca: 'ca.crt',
    ownerSecret: 'gatesmith-owner',
    role: 'gatesmith_app',
  },
  sealing: {
    formerKey: 'former',
    command: ['/tool/vault', 'write', 'ciphertext=@/etc/gatesmith/sealing-key', '"$(id)"'],
    formerCommand: ['/tool/vault', 'read'],
    toolImage: 'registry.test/vault:1',
    toolCopy: ['cp', '/bin/vault', '/tool/vault'],
    env: { VAULT_ADDR: 'https://vault.test' },
  },
  serviceAccount,
  settings: { GATESMITH_LOG_LEVEL: 'warn', GATESMITH_TRUSTED_PROXIES: '10.0.0.0/8' },
  settingsSecret: 'more',
  networkPolicy: { from: [{ namespaceSelector: {} }] },
  monitoring: { serviceMonitor: true, rules: true, dashboard: true, labels: { release: 'p' } },
}

describe(`the chart, as Helm renders it${note}`, { skip }, () => {
  test('lint finds nothing to say', async () => {
    const args = [
      'lint',
      '--strict',
      chart,
      '--set',
      'publicUrl=http://a.test,image=a:1',
      ...kubeVersion,
    ]
    const { stdout } = await run('helm', args)
    assert.match(stdout, /0 chart\(s\) failed/)
    assert.doesNotMatch(stdout, /\[(WARNING|ERROR)\]/)
  })

  test('every object is what Kubernetes and the Prometheus operator know, field by field', async () => {
    for (const values of [{}, everything]) assert.equal(await complaints(await render(values)), '')
    const [first] = await render({})
    assert.ok(first)
    const misspelt = { ...first, spec: { ...first.spec, podSelectr: {} } }
    assert.match(await complaints([misspelt]), /podSelectr/)
  })

  test('what is missing, unknown or the chart’s own to say is refused by its name', async () => {
    for (const [values, names] of [
      [{ image: '' }, /image/],
      [{ image: 'gatesmith' }, /image/],
      [{ publicUrl: 'pki.example.test' }, /publicUrl/],
      [{ replicas: 3 }, /replicas/],
      [{ server: { replicas: 0 } }, /replicas/],
      [{ settings: { GATESMITH_PORT: '1' } }, /GATESMITH_PORT/],
      [{ settings: { GATESMITH_RATE_KEY: 1_000_000 } }, /GATESMITH_RATE_KEY/],
      [{ database: { ownerSecret: 'owner' } }, /database\.role/],
      [{ sealing: { command: 'vault read' } }, /command/],
      [{ sealing: { toolImage: 'vault:1' } }, /sealing\.toolCopy/],
      [{ sealing: { env: { DATABASE_URL: 'x' } } }, /DATABASE_URL/],
    ] as const) {
      await assert.rejects(renderText(values), names)
    }
  })

  test('all settings that it makes are some', async () => {
    const known = new Set<string>([
      ...settings.map(([name]) => name),
      ...['NODE_OPTIONS', 'MALLOC_ARENA_MAX', 'MALLOC_TRIM_THRESHOLD_', 'HOME', 'VAULT_ADDR'],
    ])
    for (const { env } of (await render(everything)).flatMap(containersOf)) {
      const names = env.map(({ name }) => name)
      assert.deepEqual(
        names.filter((name) => !known.has(name)),
        [],
      )
      assert.equal(new Set(names).size, names.length)
    }
  })

  test('where a program unwraps the sealing key, no file is taken for the key', async () => {
    const settingsOf = async (sealing: object) => {
      const all = (await render({ sealing })).flatMap(containersOf)
      const each = all.map(({ env }) =>
        env.flatMap(({ name, value }) => (/SEALING|HOME/.test(name) ? [[name, value]] : [])),
      )
      assert.equal(each.length, 3)
      for (const other of each) assert.deepEqual(other, each[0])
      return Object.fromEntries(each[0] ?? [])
    }
    const [file, former] = ['/etc/gatesmith/sealing-key', '/etc/gatesmith/sealing-keys-former']
    const { command, formerCommand, formerKey } = everything.sealing
    assert.deepEqual(await settingsOf({}), { GATESMITH_SEALING_KEY_FILE: file })
    assert.deepEqual(await settingsOf({ formerKey, formerCommand }), {
      GATESMITH_SEALING_KEY_FILE: file,
      GATESMITH_SEALING_KEYS_FORMER_COMMAND: JSON.stringify(formerCommand),
      HOME: '/tmp',
    })
    assert.deepEqual(await settingsOf({ command, formerKey }), {
      GATESMITH_SEALING_KEY_COMMAND: JSON.stringify(command),
      GATESMITH_SEALING_KEYS_FORMER_FILE: former,
      HOME: '/tmp',
    })
  })

  test('every selector finds the pods that it is for', async () => {
    const objects = await render(everything)
    const pods = objects.flatMap(({ metadata: { name }, spec }) =>
      spec?.template ? [{ name, labels: spec.template.metadata.labels }] : [],
    )
    const found = objects.flatMap(({ kind, metadata: { name }, spec }) => {
      const selector: Labels | undefined =
        spec?.podSelector?.matchLabels ?? spec?.selector?.matchLabels ?? spec?.selector
      if (!selector || kind === 'ServiceMonitor') return []
      const fits = (labels: Labels) =>
        Object.entries(selector).every(([key, value]) => labels[key] === value)
      return [`${kind} ${name}: ${pods.filter((pod) => fits(pod.labels)).map((pod) => pod.name)}`]
    })
    const [server, worker, migrate] = ['gate-server', 'gate-worker', 'gate-migrate']
    assert.deepEqual(found.sort(), [
      `Deployment gate-server: ${server}`,
      `Deployment gate-worker: ${worker}`,
      `NetworkPolicy gate-server: ${server}`,
      `NetworkPolicy gate-worker: ${worker}`,
      `PodDisruptionBudget gate-server: ${server}`,
      `PodDisruptionBudget gate-worker: ${worker}`,
      `Service gate-metrics: ${server},${worker},${migrate}`,
      `Service gate: ${server}`,
    ])
  })

  test('no pod is root, writes to its image, or has an account of the cluster', async () => {
    const objects = [...(await render({})), ...(await render(everything))]
    const pods = objects.flatMap(({ spec }) => spec?.template?.spec ?? [])
    assert.equal(pods.length, 6)
    for (const pod of pods) {
      const { securityContext, automountServiceAccountToken, containers, initContainers = [] } = pod
      assert.equal(automountServiceAccountToken, false)
      assert.deepEqual(Object.entries(securityContext).slice(0, 2), [
        ['runAsNonRoot', true],
        ['runAsUser', 1000],
      ])
      for (const { securityContext: own } of [...containers, ...initContainers]) {
        assert.deepEqual(own, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
      }
    }
  })

  test('what it starts migrates, answers its probes, writes no file and ends by a signal', async () => {
    const url = await openTestDatabase('template0')
    const folder = await openFolder()
    const key = join(folder, 'sealing-key')
    await writeFile(key, randomBytes(32).toString('base64'))
    const byName = new Map(
      (await render({})).flatMap(containersOf).map((each) => [each.name, each]),
    )
    const start = async (name: string) => {
      const container = byName.get(name)
      assert.ok(container)
      return startContainer(container, { DATABASE_URL: url, GATESMITH_SEALING_KEY_FILE: key })
    }
    const migrating = await start('migrate')
    assert.equal(await migrating.running.ended, 0, migrating.running.said.err)
    assert.match(migrating.running.said.out, /^Applied /)
    for (const name of ['server', 'worker']) {
      const { running, asked } = await start(name)
      assert.equal(asked.length, probes.length)
      for (const probe of asked) {
        await until(`${name} ${probe}`, async () => {
          const answer = await fetch(probe).catch(() => undefined)
          assert.equal(running.child.exitCode, null, running.said.err + running.said.out)
          return answer?.ok || undefined
        })
      }
      assert.equal(await interrupt(running), 0, running.said.err)
    }
  })

  const admin = realCluster()?.admin
  const rig =
    admin === undefined ? 'no administrator’s kubeconfig: GATESMITH_TEST_ADMIN_KUBECONFIG' : false
  const why = rig ? ` (skipped: ${rig})` : ''
  test(`a cluster takes it, by its strictest standard for pods${why}`, { skip: rig }, async () => {
    const kubectl = async (args: readonly string[], input = '') => {
      const running = run('kubectl', ['--kubeconfig', String(admin), ...args])
      running.child.stdin?.end(input)
      return running
    }
    const namespace = `gatesmith-${randomBytes(4).toString('hex')}`
    const standard = 'pod-security.kubernetes.io'
    await kubectl(['create', 'namespace', namespace])
    after(() => kubectl(['delete', 'namespace', namespace, '--wait=false']))
    const labels = [`${standard}/enforce=restricted`, `${standard}/warn=restricted`]
    await kubectl(['label', 'namespace', namespace, ...labels])
    const dry = [
      'apply',
      '-n',
      namespace,
      '--server-side',
      '--dry-run=server',
      '--validate=strict',
      '-f',
      '-',
    ]
    for (const values of [{}, { sealing: everything.sealing, serviceAccount }]) {
      const text = (await renderText(values)).replaceAll(
        'namespace: tls',
        `namespace: ${namespace}`,
      )
      const { stdout, stderr } = await kubectl(dry, text)
      assert.equal(stdout.trim().split('\n').length, 8)
      assert.equal(stderr, '')
    }
  })
})

function containersOf({ spec }: Rendered): readonly Container[] {
  return spec?.template?.spec.containers ?? []
}

/** Starts the product as the container says, on ports of this machine, with these settings in place of its Secrets; it may
 *  write nowhere. Answers the URLs that its probes ask, too. */
async function startContainer(container: Container, secrets: Readonly<Record<string, string>>) {
  const { args, env, ports = [] } = container
  const free = await freePorts(2)
  const portOf = new Map(ports.map(({ name }, i) => [name, free[i]]))
  const running = startProcess(args, {
    ...Object.fromEntries(env.flatMap(({ name, value }) => (value ? [[name, value]] : []))),
    ...secrets,
    GATESMITH_PORT: String(portOf.get('http') ?? 0),
    GATESMITH_METRICS_PORT: String(portOf.get('metrics') ?? free[1]),
    // Node's own guard (--permission): whatever is written throws.
    NODE_OPTIONS: '--permission --allow-fs-read=* --allow-addons --allow-worker',
  })
  const asked = probes.flatMap((name) => {
    const { path, port } = container[name]?.httpGet ?? {}
    return path && port ? [`http://127.0.0.1:${portOf.get(port)}${path}`] : []
  })
  return { running, asked }
}

/** What the compiler says of the objects against the types that are made of the schemas of Kubernetes: missing, unknown and
 *  wrong fields. Nothing where all is well. */
async function complaints(objects: readonly object[]): Promise<string> {
  const folder = await openFolder()
  await symlink(resolve('node_modules'), join(folder, 'node_modules'))
  const lines = objects.flatMap((object, i) => {
    const { apiVersion, kind } = Object(object)
    const models = apiVersion.startsWith('monitoring.coreos.com/')
      ? '@kubernetes-models/prometheus-operator'
      : 'kubernetes-models'
    return [
      `import type { I${kind} as T${i} } from '${models}/${apiVersion}/${kind}'`,
      `export const object${i}: T${i} = ${JSON.stringify(object)}`,
    ]
  })
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(join(folder, 'objects.ts'), lines.join('\n'))
  const tsc = resolve('node_modules/.bin/tsc')
  const options = [
    '--ignoreConfig',
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'nodenext',
  ]
  return run(tsc, [...options, 'objects.ts'], { cwd: folder }).then(
    () => '',
    (error) => String(error.stdout),
  )
}

import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { openAcme } from '../../support/acme.ts'
import { openssl } from '../../support/openssl.ts'
import { freePorts, openFolder, until, watched } from '../../support/process.ts'

// cert-manager's own controller, on a real API server, as docs/acme.md has it: the folder GATESMITH_TEST_CERT_MANAGER holds
// `controller`, built from its source, and `crds`, and GATESMITH_TEST_ADMIN_KUBECONFIG is of somebody who may do everything there.

const { GATESMITH_TEST_CERT_MANAGER: built, GATESMITH_TEST_ADMIN_KUBECONFIG: kubeconfig } =
  process.env
const missing = [
  ...(built && existsSync(join(built, 'controller')) ? [] : ['GATESMITH_TEST_CERT_MANAGER']),
  ...(kubeconfig ? [] : ['GATESMITH_TEST_ADMIN_KUBECONFIG']),
]
const skip = missing.length > 0 ? `no cert-manager on a cluster: ${missing.join(', ')}` : false
const note = skip ? ` (skipped: ${skip})` : ''
const named = spawnSync('named', ['-v']).error === undefined
const skipNames = skip || (named ? false : 'no name server: named is not on PATH')
const noteNames = skipNames ? ` (skipped: ${skipNames})` : ''

const namespace = `cm-${randomBytes(4).toString('hex')}`

async function kubectl(args: readonly string[], input?: object): Promise<string> {
  const all = ['--kubeconfig', kubeconfig ?? '', '--namespace', namespace, ...args]
  const running = promisify(execFile)('kubectl', all, { maxBuffer: 1 << 24 })
  running.child.stdin?.end(input ? JSON.stringify(input) : '')
  return (await running).stdout
}

const apply = (object: object) => kubectl(['apply', '--server-side', '-f', '-'], object)

/** A name server (BIND) for shop.test, whose records whoever has its key may change (RFC 2136). */
async function openNameServer() {
  // It gives up root's right to look into the folders of others, in which those of tests may lie.
  const folder = await mkdtemp('/tmp/gatesmith-named-')
  after(() => rm(folder, { recursive: true, force: true }))
  const [port = 0] = await freePorts(1)
  const secret = randomBytes(32).toString('base64')
  const zone = `$TTL 0\n@ SOA ns.shop.test. ops.shop.test. 1 60 60 60 0\n@ NS ns.shop.test.\nns A 127.0.0.1\n`
  await writeFile(join(folder, 'shop.zone'), zone)
  await writeFile(
    join(folder, 'named.conf'),
    `options { directory "${folder}"; pid-file none; session-keyfile none; recursion no;
       listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; dnssec-validation no; };
     controls { };
     key "cert-manager" { algorithm hmac-sha256; secret "${secret}"; };
     zone "shop.test" { type primary; file "shop.zone"; allow-update { key "cert-manager"; }; };`,
  )
  const running = watched(spawn('named', ['-g', '-c', join(folder, 'named.conf'), '-n', '1']))
  await until('the name server answers', () => {
    assert.equal(running.child.exitCode, null, running.said.err)
    return running.said.err.includes('all zones loaded') || undefined
  })
  return { address: `127.0.0.1:${port}`, secret }
}

const names = skipNames ? undefined : await openNameServer()
const all = skip ? undefined : await openAcme(names ? { resolvers: [names.address] } : {})

function world() {
  assert.ok(all)
  return all
}

/** Where the server is reached by https, and the CA by which it is trusted. */
async function openSecure() {
  const folder = await openFolder()
  const [keyFile, certFile] = [join(folder, 'tls.key'), join(folder, 'tls.crt')]
  openssl([
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-subj', '/CN=gatesmith', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ...['-keyout', keyFile, '-out', certFile],
  ])
  const [key, cert] = [await readFile(keyFile), await readFile(certFile)]
  const { api } = world()
  const server = createServer({ key, cert }, (request, response) => api.routing(request, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  after(() => server.close())
  const { port } = server.address() as AddressInfo
  const directory = `https://127.0.0.1:${port}/acme/issuing/directory`
  return { directory, caBundle: cert.toString('base64') }
}

/** cert-manager with its definitions, in a namespace of its own that is gone afterwards. */
async function openCertManager() {
  await kubectl(['create', 'namespace', namespace])
  after(() => kubectl(['delete', 'namespace', namespace, '--wait=false']))
  const definitions = ['-f', join(built ?? '', 'crds')]
  const there = ['get', 'crd', 'clusterissuers.cert-manager.io', '--ignore-not-found', '-o', 'name']
  if ((await kubectl(there)) === '') {
    await kubectl(['apply', '--server-side', ...definitions])
    after(() => kubectl(['delete', '--wait=false', ...definitions]))
  }
  await kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s'])
  const [metrics = 0, health = 0] = await freePorts(2)
  const dns = names
    ? [`--dns01-recursive-nameservers=${names.address}`, '--dns01-recursive-nameservers-only']
    : []
  const args = [
    ...[`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--v=2'],
    `--cluster-resource-namespace=${namespace}`,
    `--metrics-listen-address=127.0.0.1:${metrics}`,
    `--internal-healthz-listen-address=127.0.0.1:${health}`,
    ...['--feature-gates=ACMEUseARI=true', '--dns01-check-retry-period=1s', ...dns],
  ]
  return watched(spawn(join(built ?? '', 'controller'), args))
}

const controller = skip ? undefined : await openCertManager()
const secure = skip ? undefined : await openSecure()

/** What cert-manager says of a thing that is not ready, for whoever reads the failure. */
async function whyNot(kind: string, name: string): Promise<string> {
  const seen = await kubectl(['get', `${kind},order,challenge,certificaterequest`, '-o', 'yaml'])
  return `${kind} ${name} is not ready\n${seen.slice(-6_000)}\n${controller?.said.err.slice(-6_000)}`
}

async function untilIs(kind: string, name: string, condition = 'Ready'): Promise<void> {
  const args = ['wait', `${kind}/${name}`, `--for=condition=${condition}`, '--timeout=180s']
  await kubectl(args).catch(async () => assert.fail(await whyNot(kind, name)))
}

type Issuing = {
  readonly preauthorized: boolean
  readonly solvers?: object[]
  readonly profile?: string
  readonly enableDurationFeature?: boolean
}

async function issuer(name: string, { preauthorized, solvers, ...more }: Issuing) {
  const { kid, hmacKey } = await world().keyFor({ preauthorized })
  const labelled = { name: `${name}-eab`, namespace }
  await apply({
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: labelled, stringData: { hmac: hmacKey } },
  })
  // Where it is gone with its definition, it is gone.
  after(() => kubectl(['delete', 'clusterissuer', `${namespace}-${name}`]).catch(() => ''))
  const keySecretRef = { name: `${name}-eab`, key: 'hmac' }
  await apply({
    ...{ apiVersion: 'cert-manager.io/v1', kind: 'ClusterIssuer' },
    metadata: { name: `${namespace}-${name}` },
    spec: {
      acme: {
        ...{ server: secure?.directory, caBundle: secure?.caBundle },
        privateKeySecretRef: { name: `${name}-account` },
        externalAccountBinding: { keyID: kid, keySecretRef },
        ...(solvers ? { solvers } : {}),
        ...more,
      },
    },
  })
  await untilIs('clusterissuer', `${namespace}-${name}`)
  return { name: `${namespace}-${name}`, kind: 'ClusterIssuer' }
}

async function certificate(name: string, issuerRef: object, asked: Asked) {
  await applyCertificate(name, issuerRef, asked)
  await untilIs('certificate', name)
  return chainOf(name)
}

type Asked = {
  readonly dnsNames: readonly string[]
  readonly commonName?: string
  readonly subject?: object
  readonly privateKey?: object
  readonly duration?: string
}

function applyCertificate(name: string, issuerRef: object, { dnsNames, ...more }: Asked) {
  return apply({
    ...{ apiVersion: 'cert-manager.io/v1', kind: 'Certificate', metadata: { name, namespace } },
    spec: {
      ...{ secretName: name, dnsNames, issuerRef },
      privateKey: { algorithm: 'ECDSA' },
      ...more,
    },
  })
}

/** What a Secret holds: the leaf, verified by openssl up to the root, with its own key. */
async function chainOf(name: string): Promise<X509Certificate> {
  const secret = JSON.parse(await kubectl(['get', 'secret', name, '-o', 'json']))
  assert.equal(secret.type, 'kubernetes.io/tls')
  const text = (key: string) => Buffer.from(secret.data[key], 'base64').toString()
  const { body: root } = await world().http.get('/v1/authorities/root').expect(200)
  const chain = text('tls.crt')
  openssl(
    ['verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'chain.pem', 'chain.pem'],
    {
      'root.pem': root.pem,
      'chain.pem': chain,
    },
  )
  assert.equal(chain.split('BEGIN CERTIFICATE').length, 3)
  const leaf = new X509Certificate(chain)
  const own = openssl(['pkey', '-in', 'tls.key', '-pubout'], { 'tls.key': text('tls.key') })
  assert.equal(leaf.publicKey.export({ format: 'pem', type: 'spki' }), own)
  return leaf
}

/** Has it renewed, as `cmctl renew` does; answers what is in the Secret then. */
async function renewed(name: string, { serialNumber }: X509Certificate) {
  const message = 'asked for'
  const conditions = [{ type: 'Issuing', status: 'True', reason: 'ManuallyTriggered', message }]
  const patch = JSON.stringify({ status: { conditions } })
  await kubectl([
    ...['patch', 'certificate', name, '--subresource=status', '--type=merge', '-p', patch],
  ])
  const found = await until('another certificate', async () => {
    const leaf = await chainOf(name)
    return leaf.serialNumber === serialNumber ? undefined : leaf
  })
  await untilIs('certificate', name)
  return found
}

function told(t: TestContext, what: string, leaf: X509Certificate): void {
  t.diagnostic(`${what}: ${leaf.subjectAltName}, ${leaf.serialNumber}, until ${leaf.validTo}`)
}

test(`cert-manager opens an account, has names without a challenge, and renews${note}`, {
  skip,
  timeout: 600_000,
}, async (t) => {
  const issuerRef = await issuer('at-once', { preauthorized: true })
  const dnsNames = ['web.shop.test', '*.web.shop.test']
  const first = await certificate('web', issuerRef, { dnsNames })
  told(t, 'issued', first)
  assert.equal(first.subjectAltName, 'DNS:web.shop.test, DNS:*.web.shop.test')
  const second = await renewed('web', first)
  told(t, 'renewed', second)
  assert.notEqual(fingerprintOf(second), fingerprintOf(first))
  // It says which one it renews (RFC 9773 5), so that they are one lineage here.
  const rows = await world().ctx.db.read.certificate.findMany({
    where: { dnsNames: { has: 'web.shop.test' } },
    orderBy: { createdAt: 'asc' },
  })
  assert.deepEqual(
    rows.map(({ serial }) => serial),
    [first, second].map((each) => each.serialNumber.toLowerCase()),
  )
  assert.equal(rows[1]?.replacesId, rows[0]?.id)
})

const fingerprintOf = (leaf: X509Certificate) =>
  createHash('sha256')
    .update(leaf.publicKey.export({ format: 'der', type: 'spki' }))
    .digest('hex')

test(`cert-manager orders by a profile, with a subject, and keeps a key where it is told to${note}`, {
  skip,
  timeout: 600_000,
}, async (t) => {
  const issuerRef = await issuer('short', { preauthorized: true, profile: 'shortlived' })
  const first = await certificate('short', issuerRef, {
    dnsNames: ['short.shop.test'],
    privateKey: { algorithm: 'RSA', size: 2048, rotationPolicy: 'Never' },
    ...{ commonName: 'short.shop.test', subject: { organizations: ['Shop'] } },
  })
  told(t, 'issued', first)
  assert.equal(first.subject, 'O=Shop\nCN=short.shop.test')
  assert.ok(Date.parse(first.validTo) - Date.parse(first.validFrom) < 6.1 * 86_400_000)
  const second = await renewed('short', first)
  told(t, 'renewed', second)
  assert.equal(fingerprintOf(second), fingerprintOf(first))
})

for (const [what, name, issuing, asked, words] of [
  ['a name that is not the tenant’s', 'www.other.test', {}, {}, /rejectedIdentifier/],
  [
    'an end of its own choice',
    'month.shop.test',
    { enableDurationFeature: true },
    { duration: '720h' },
    /leave out notBefore and notAfter/,
  ],
] as const) {
  test(`${what} is refused to cert-manager, and its order says why${note}`, {
    skip,
    timeout: 600_000,
  }, async (t) => {
    const [own = ''] = name.split('.')
    const issuerRef = await issuer(own, { preauthorized: true, ...issuing })
    await applyCertificate(own, issuerRef, { dnsNames: [name], ...asked })
    const reason = await until('the order has ended', async () => {
      const { items } = JSON.parse(await kubectl(['get', 'order', '-o', 'json']))
      const found = items.find(({ spec }: { spec: { dnsNames: string[] } }) =>
        spec.dnsNames.includes(name),
      )
      return found?.status?.state === 'errored' ? String(found.status.reason) : undefined
    })
    t.diagnostic(`the order says: ${reason}`)
    assert.match(reason, words)
  })
}

test(`cert-manager proves a name and its wildcard by DNS${noteNames}`, {
  skip: skipNames,
  timeout: 600_000,
}, async (t) => {
  const secret = { name: 'tsig', namespace }
  await apply({
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: secret, stringData: { key: names?.secret } },
  })
  const rfc2136 = {
    ...{ nameserver: names?.address, tsigKeyName: 'cert-manager', tsigAlgorithm: 'HMACSHA256' },
    tsigSecretSecretRef: { name: 'tsig', key: 'key' },
  }
  const issuerRef = await issuer('proved', {
    preauthorized: false,
    solvers: [{ dns01: { rfc2136 } }],
  })
  const leaf = await certificate('proved', issuerRef, {
    dnsNames: ['proved.shop.test', '*.proved.shop.test'],
  })
  told(t, 'issued', leaf)
  const challenges = await world().ctx.db.read.acmeChallenge.findMany({
    where: { status: 'valid' },
  })
  assert.deepEqual(
    challenges.map(({ type }) => type),
    ['dns-01', 'dns-01'],
  )
})

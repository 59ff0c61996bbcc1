import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { startCluster } from '../../sandbox/cluster.ts'
import { openAccount } from '../../src/acme/accounts/open.ts'
import { certifyHost } from '../../src/certificates/hosts/certify.ts'
import { readForeign } from '../../src/clusters/foreign/read.ts'
import { leafFor, openElsewhere, sentOf } from '../certificates/uploads/elsewhere.ts'
import { openTestApi } from '../support/api.ts'
import { fits } from '../support/contract.ts'
import { settled } from '../support/settled.ts'

type Media = {
  readonly schema?: object
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}
type Operation = {
  readonly operationId: string
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, Media>> }>
  >
}

// What is answered is kept in src/api/examples.json, from where it comes into the contract. It is written anew with
// GATESMITH_KEEP_EXAMPLES=1.

const kept = new URL('../../src/api/examples.json', import.meta.url)
const url = new URL('../../openapi/openapi.json', import.meta.url)
const document: {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly examples?: readonly unknown[] }>>
  }
} = JSON.parse(await readFile(url, 'utf8'))
const operations = new Map(
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]) => [operation.operationId, { method, path, ...operation }] as const,
    ),
  ),
)

/** The examples of a body: beside it, or with its schema. */
function examplesOf(media: Media): readonly unknown[] {
  if (media.example !== undefined) return [media.example]
  if (media.examples) return Object.values(media.examples).map(({ value }) => value)
  const names = JSON.stringify(media.schema).matchAll(/#\/components\/schemas\/(\w+)/g)
  return [...names].flatMap(([, name = '']) => document.components.schemas[name]?.examples ?? [])
}

const directory = await mkdtemp(join(tmpdir(), 'gatesmith-api-examples-'))
const free = { apiPort: 0, tlsPort: 0, plainPort: 0 }
const sandbox = await startCluster({ directory, host: '127.0.0.1', ...free })
after(async () => {
  await sandbox.stop()
  await rm(directory, { recursive: true })
})
const { ctx, http } = await openTestApi()
const config = parse(sandbox.kubeconfig)
const cluster = {
  server: config.clusters[0].cluster.server,
  ca: Buffer.from(config.clusters[0].cluster['certificate-authority-data'], 'base64').toString(),
  token: config.users[0].user.token,
  ingress: { address: `127.0.0.1:${sandbox.tlsPort}` },
}

/** What takes a second person, a receiver or a gateway that answers: tests of their own ask for it. */
const unasked = [
  ...['approveAuthorityApproval', 'getRenewalInfo', 'listClusterListeners'],
  ...['listNoticeAttempts', 'listTenantNoticeAttempts'],
  ...['replayNoticeAttempt', 'replayTenantNoticeAttempt', 'retireAuthorityRotation'],
  ...['testNotice', 'testTenantNotice'],
]
const asked = new Set<string>()
const answered: Record<string, unknown> = {}
const place = { tenant: 'example', host: 'httpbin.example.com', cluster: 'sandbox', notice: 'ops' }
type Params = Readonly<Record<string, string>>

/** Sends each example of an operation, with what cannot be known beforehand put in its place; what is answered is
 *  declared, and fits its schema. Answers the last one. */
async function ask(id: string, params: Params = {}, known: object = {}) {
  const operation = operations.get(id)
  assert.ok(operation, id)
  const all: Params = { ...place, ...params }
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => all[name] ?? '')
  const bodies = Object.entries(operation.requestBody?.content ?? {}).flatMap(([type, media]) =>
    examplesOf(media).map((body) => ({ type, body })),
  )
  if (operation.requestBody) assert.ok(bodies.length > 0, `${id} has no example`)
  asked.add(id)
  let last: Record<string, unknown> = {}
  for (const { type, body } of bodies.length > 0 ? bodies : [{ type: '', body: undefined }]) {
    const request = http[operation.method as 'get' | 'post' | 'put' | 'patch' | 'delete'](path)
    if (type !== '') request.set('content-type', type)
    const sent = body === undefined ? request : request.send({ ...Object(body), ...known })
    const { status, type: media, body: answer, text, headers } = await sent
    assert.ok(status < 300, `${id}: ${status} ${text}`)
    // What was made is where the answer says.
    if (headers.location !== undefined) await http.get(headers.location).expect(200)
    const declared = operation.responses[status]?.content?.[media]
    if (media.endsWith('json')) fits(declared?.schema, answer, `${id} ${status}`)
    if (media === 'application/json') answered[id] = settled(answer)
    last = answer
  }
  return last
}

/** An account as an ACME client opens it. */
async function openAccountOf(keyId: string): Promise<string> {
  const key = await ctx.db.read.acmeKey.findUniqueOrThrow({
    where: { id: keyId },
    include: { tenant: { select: { name: true } } },
  })
  const { id: authorityId } = await ctx.db.read.authority.findUniqueOrThrow({
    where: { name: 'example-issuing' },
  })
  const thumbprint = 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'
  const asked = { key, authorityId, jwk: {}, thumbprint, contact: ['mailto:ops@example.com'] }
  return (await openAccount(ctx, { ...asked, requestId: 'example' })).account.id
}

test('every example of a request is accepted, and what it is answered is what the contract says', async () => {
  const root = { authority: 'example-root' }
  const issuing = { authority: 'example-issuing' }
  await ask('createAuthority')
  const partner = { name: 'partner-root', kind: 'root', subject: { commonName: 'partner' } }
  await http.post('/v1/authorities').send(partner).expect(201)
  await ask('importAuthority')
  await ask('updateAuthority', root)
  await ask('getAuthority', issuing)
  await ask('createTenant')
  await ask('updateTenant')
  await ask('getTenant')
  for (const kind of ['', 'Tenant']) {
    const of = kind === '' ? '' : '/tenants/example'
    const { id } = await ask(`create${kind}ApiKey`)
    const key = { id: String(id) }
    await ask(`get${kind}ApiKey`, key)
    await ask(`update${kind}ApiKey`, key)
    await ask(`rotate${kind}ApiKey`, key)
    await ask(`list${kind}ApiKeys`)
    await ask(`put${kind}Notice`)
    await ask(`get${kind}Notice`)
    await ask(`list${kind}Notices`)
    const signed = { kind: 'webhook', url: 'https://hooks.example.com/gatesmith' }
    await http.put(`/v1${of}/notices/signed`).send(signed).expect(201)
    await ask(`rotate${kind}Notice`, { notice: 'signed' })
    await ask(`list${kind}Events`)
  }
  await ask('createCluster', {}, cluster)
  await ask('getCluster')
  await ask('updateCluster', {}, { ingress: cluster.ingress })
  await ask('checkCluster')
  await ask('putClusterMeshTls')
  await ask('getClusterMeshTls')
  await ask('putTenantHost')
  await ask('updateTenantHost')
  await ask('planTenantHost')
  await ask('probeTenantHost')
  await ask('batchTenantHosts')
  const { id: host } = await ctx.db.read.host.findFirstOrThrow({ where: { name: place.host } })
  await certifyHost(ctx, host)
  await ask('getTenantHost')
  await ask('getTenantHostCertificate')
  await ask('getTenantHostHistory')
  const { id } = await ask('createTenantCertificate')
  const certificate = { id: String(id) }
  await ask('updateTenantCertificate', certificate)
  await ask('getTenantCertificate', certificate)
  const { root: foreignRoot, between } = await openElsewhere()
  const leaf = await leafFor(between, ['shop.example.com'])
  const uploaded = await ask('importTenantCertificate', {}, sentOf(leaf, between, foreignRoot))
  await ask('deleteTenantCertificate', { id: String(uploaded.id) })
  const delivery = { delivery: 'client' }
  await ask('putTenantDelivery', delivery, { certificate: id })
  await ask('getTenantDelivery', delivery)
  await ask('batchTenantCertificates')
  await ask('renewTenantCertificate', certificate)
  await ask('getTenantCertificateLineage', certificate)
  await ask('revokeTenantCertificate', certificate)
  await ask('revokeTenantCertificates')
  await ask('createTenantCertificateKey')
  const acmeKey = { id: String((await ask('createTenantAcmeKey')).id) }
  await ask('getTenantAcmeKey', acmeKey)
  await ask('listTenantAcmeKeys')
  const account = { id: await openAccountOf(acmeKey.id) }
  await ask('getTenantAcmeAccount', account)
  await ask('listTenantAcmeAccounts')
  await ask('deleteTenantAcmeAccount', account)
  await ask('deleteTenantAcmeKey', acmeKey)
  await ask('listAuthorityOrders', issuing)
  const { id: replacement } = await ask('createReplacement')
  await ask('getReplacement', { id: String(replacement) })
  const { spkiSha256 } = await ask('createBlockedKey')
  await ask('getBlockedKey', { spkiSha256: String(spkiSha256) })
  const { id: crossed } = await ask('crossSignAuthority', issuing)
  await ask('revokeAuthorityIssuer', { ...issuing, id: String(crossed) })
  await ask('listAuthorityIssuers', issuing)
  const { id: change } = await ask('createAuthorityApproval', issuing)
  const approval = { ...issuing, id: String(change) }
  await ask('getAuthorityApproval', approval)
  await ask('listAuthorityApprovals', issuing)
  await ask('rejectAuthorityApproval', approval)
  await ask('rotateAuthorityAccountKey', { authority: 'public' })
  await ask('rotateAuthority', issuing)
  await ask('getAuthorityRotation', issuing)
  await ask('queryGraphql')
  const lists = ['Tenants', 'Authorities', 'Clusters', 'Hosts', 'Certificates', 'AuditEvents']
  const ofTenant = ['TenantHosts', 'TenantCertificates', 'TenantDeliveries']
  await readForeign(
    ctx,
    await ctx.db.read.cluster.findFirstOrThrow().then(({ id }) => ({ clusterId: id })),
  )
  for (const list of [...lists, ...ofTenant, 'BlockedKeys']) await ask(`list${list}`)
  await ask('listForeignCertificates')
  await ask('listClusterGateways')
  await ask('getWhoami')
  await ask('verifyAuditEvents')
  await ask('getAuditForwarding')
  await ask('syncCluster')
  await ask('deleteTenantDelivery', delivery)
  await ask('deleteTenantHost')
  const others = [...operations.values()].filter(
    ({ operationId, requestBody }) => requestBody !== undefined && !asked.has(operationId),
  )
  // OCSP is no JSON: test/api/public/pki.test.ts.
  assert.deepEqual(
    others.map(({ operationId }) => operationId),
    [],
  )
})

test('every example of an answer is what the service answers', async () => {
  if (process.env.GATESMITH_KEEP_EXAMPLES) {
    await writeFile(kept, `${JSON.stringify(answered, null, 2)}\n`)
  }
  const examples: Readonly<Record<string, unknown>> = JSON.parse(await readFile(kept, 'utf8'))
  for (const [id, answer] of Object.entries(answered)) assert.deepEqual(examples[id], answer, id)
  assert.deepEqual(Object.keys(examples).sort(), Object.keys(answered).sort())
  for (const [id, { responses }] of operations) {
    for (const [status, { content = {} }] of Object.entries(responses)) {
      const media = content['application/json']
      if (!media || !(id in answered) || !/^2/.test(status)) continue
      assert.deepEqual(media.example, examples[id], `${id}: run npm run contracts`)
      fits(media.schema, media.example, id)
    }
  }
  const without = [...operations.values()].filter(
    ({ operationId, responses }) =>
      !(operationId in examples) &&
      Object.entries(responses).some(
        ([status, { content = {} }]) => /^2/.test(status) && 'application/json' in content,
      ),
  )
  assert.deepEqual(without.map(({ operationId }) => operationId).toSorted(), unasked)
})

test('every example of a schema fits it', () => {
  for (const [name, { examples = [] }] of Object.entries(document.components.schemas)) {
    for (const example of examples) fits({ $ref: `#/components/schemas/${name}` }, example, name)
  }
})

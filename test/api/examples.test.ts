import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { parse } from 'yaml'
import { startCluster } from '../../sandbox/cluster.ts'
import { formats } from '../../src/shared/formats.ts'
import { openTestApi } from '../support/api.ts'

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

const ajv = new Ajv2020({ strict: false })
for (const [name, validate] of formats) ajv.addFormat(name, validate)
for (const name of ['uri', 'uri-reference', 'binary']) ajv.addFormat(name, true)
ajv.addSchema(document, 'contract')

/** Holds a value to a schema of the contract. */
function fits(schema: object | undefined, value: unknown, what: string): void {
  const text = JSON.stringify(schema).replaceAll('"#/', '"contract#/')
  const validate = ajv.compile(JSON.parse(text))
  assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)}`)
}

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
const { http } = await openTestApi()
const config = parse(sandbox.kubeconfig)
const cluster = {
  server: config.clusters[0].cluster.server,
  ca: Buffer.from(config.clusters[0].cluster['certificate-authority-data'], 'base64').toString(),
  token: config.users[0].user.token,
  ingress: { address: `127.0.0.1:${sandbox.tlsPort}` },
}

const asked = new Set<string>()
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
    const { status, type: answered, body: answer, text } = await sent
    assert.ok(status < 300, `${id}: ${status} ${text}`)
    const media = operation.responses[status]?.content?.[answered]
    if (answered.endsWith('json')) fits(media?.schema, answer, `${id} ${status}`)
    last = answer
  }
  return last
}

test('every example of a request is accepted, and what it is answered is what the contract says', async () => {
  await ask('createAuthority')
  const partner = { name: 'partner-root', kind: 'root', subject: { commonName: 'partner' } }
  await http.post('/v1/authorities').send(partner).expect(201)
  await ask('importAuthority')
  await ask('updateAuthority', { authority: 'example-root' })
  await ask('getAuthority', { authority: 'example-issuing' })
  await ask('createTenant')
  await ask('updateTenant')
  for (const kind of ['', 'Tenant']) {
    const { id } = await ask(`create${kind}ApiKey`)
    await ask(`update${kind}ApiKey`, { id: String(id) })
    await ask(`rotate${kind}ApiKey`, { id: String(id) })
    await ask(`list${kind}ApiKeys`)
    await ask(`put${kind}Notice`)
    await ask(`get${kind}Notice`)
    await ask(`list${kind}Notices`)
    await ask(`list${kind}Events`)
  }
  await ask('createCluster', {}, cluster)
  await ask('updateCluster', {}, { ingress: cluster.ingress })
  await ask('checkCluster')
  await ask('putClusterMeshTls')
  await ask('getClusterMeshTls')
  await ask('putTenantHost')
  await ask('updateTenantHost')
  await ask('planTenantHost')
  await ask('probeTenantHost')
  await ask('batchTenantHosts')
  await ask('getTenantHost')
  const { id } = await ask('createTenantCertificate')
  const certificate = { id: String(id) }
  await ask('updateTenantCertificate', certificate)
  await ask('getTenantCertificate', certificate)
  await ask('putTenantDelivery', { delivery: 'client' }, { certificate: id })
  await ask('batchTenantCertificates')
  await ask('renewTenantCertificate', certificate)
  await ask('revokeTenantCertificate', certificate)
  await ask('revokeTenantCertificates')
  await ask('createTenantCertificateKey')
  const { id: replacement } = await ask('createReplacement')
  await ask('getReplacement', { id: String(replacement) })
  await ask('createBlockedKey')
  const issuing = { authority: 'example-issuing' }
  const { id: crossed } = await ask('crossSignAuthority', issuing)
  await ask('revokeAuthorityIssuer', { ...issuing, id: String(crossed) })
  await ask('listAuthorityIssuers', issuing)
  await ask('createAuthorityApproval', issuing)
  await ask('rotateAuthority', issuing)
  await ask('getAuthorityRotation', issuing)
  await ask('queryGraphql')
  const lists = ['Tenants', 'Authorities', 'Clusters', 'Hosts', 'Certificates', 'AuditEvents']
  const ofTenant = ['TenantHosts', 'TenantCertificates', 'TenantDeliveries']
  for (const list of [...lists, ...ofTenant, 'BlockedKeys']) await ask(`list${list}`)
  await ask('getWhoami')
  const others = [...operations.values()].filter(
    ({ operationId, requestBody }) => requestBody !== undefined && !asked.has(operationId),
  )
  // OCSP is no JSON: test/api/public/pki.test.ts.
  assert.deepEqual(
    others.map(({ operationId }) => operationId),
    [],
  )
})

test('every example of an answer fits its schema', () => {
  for (const [name, { examples = [] }] of Object.entries(document.components.schemas)) {
    for (const example of examples) fits({ $ref: `#/components/schemas/${name}` }, example, name)
  }
})

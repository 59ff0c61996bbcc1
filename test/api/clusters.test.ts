import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { startCluster } from '../../sandbox/cluster.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { admin } from '../support/context.ts'

const directory = await mkdtemp(join(tmpdir(), 'gatesmith-api-clusters-'))
const free = { apiPort: 0, tlsPort: 0, plainPort: 0 }
const sandbox = await startCluster({ directory, host: '127.0.0.1', ...free })
after(async () => {
  await sandbox.stop()
  await rm(directory, { recursive: true })
})
const { ctx, http, send } = await openTestApi()
await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })
const tenant = send(await tokenFor(ctx, 'shop'))
const config = parse(sandbox.kubeconfig)
const server: string = config.clusters[0].cluster.server
const ca = Buffer.from(
  config.clusters[0].cluster['certificate-authority-data'],
  'base64',
).toString()
const token: string = config.users[0].user.token
const ingress = { address: `127.0.0.1:${sandbox.tlsPort}` }

const bad = (checks: readonly { status: string; item: string }[]) =>
  checks.filter(({ status }) => status === 'failed').map(({ item }) => item)

test('a cluster is registered by server, CA and token, given another token, and checked item by item', async () => {
  const asked = { name: 'one', server, ca, token: 'wrong', ingress }
  const made = await http.post('/v1/clusters').send(asked).expect(201)
  assert.equal(made.body.server, server)
  const refused = await http.post('/v1/clusters/one/check').expect(200)
  assert.equal(refused.body.status, 'Failed')
  assert.deepEqual(bad(refused.body.checks), ['credentials'])
  const changed = await http.patch('/v1/clusters/one').send({ token }).expect(200)
  const { body } = await http.post('/v1/clusters/one/check').expect(200)
  assert.equal(body.status, 'Ready', JSON.stringify(body.checks))
  for (const answer of [made, changed, refused]) assert.ok(!answer.text.includes(token))
  const events = await ctx.db.read.auditEvent.findMany()
  assert.ok(!JSON.stringify(events, (_, value) => String(value)).includes(token))
})

test('a registration in two forms, or in half of one, says which part is wrong', async () => {
  const fields = async (asked: object) => {
    const { body } = await http
      .post('/v1/clusters')
      .send({ name: 'two', ingress, ...asked })
      .expect(422)
    return body.violations.map(({ field }: { field: string }) => field)
  }
  assert.deepEqual(await fields({}), ['/kubeconfig'])
  assert.deepEqual(await fields({ server, token }), ['/ca'])
  assert.deepEqual(await fields({ kubeconfig: sandbox.kubeconfig, ca }), ['/ca'])
  const { body } = await http.patch('/v1/clusters/one').send({ server }).expect(422)
  assert.equal(body.violations[0].field, '/token')
})

test('the rights that a cluster needs are printed as YAML, to the platform alone', async () => {
  const { text, headers } = await http
    .get('/v1/clusters/one/rbac?listeners=true&token=true&name=gs')
    .buffer(true)
    .parse((response, done) => {
      let all = ''
      response.on('data', (chunk: Buffer) => {
        all += chunk
      })
      response.on('end', () => done(null, all))
    })
    .expect(200)
    .then(({ body, headers }) => ({ text: String(body), headers }))
  assert.match(headers['content-type'] ?? '', /^application\/yaml/)
  const kinds = parseAllDocuments(text).map((each) => each.toJS())
  assert.deepEqual(
    kinds.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`),
    [
      'ServiceAccount istio-system/gs',
      'Secret istio-system/gs-token',
      'Role istio-system/gs',
      'RoleBinding istio-system/gs',
      'ClusterRole /gs',
      'ClusterRoleBinding /gs',
    ],
  )
  await tenant.get('/v1/clusters/one/rbac').expect(403)
  await http.get('/v1/clusters/none/rbac').expect(404)
})

test('GraphQL tells the checks and the ingresses, to a tenant only whether it is Ready', async () => {
  const query =
    '{ cluster(name: "one") { status checks { item subject status message } found { uid ingresses { name pods { ready } } } } }'
  const ask = async (who: typeof http) => {
    const { body } = await who.post('/graphql').send({ query }).expect(200)
    return body.data.cluster
  }
  const all = await ask(http)
  assert.equal(all.status, 'Ready')
  assert.ok(all.checks.some(({ item }: { item: string }) => item === 'gateway-secrets'))
  assert.deepEqual(all.found.ingresses, [{ name: 'default', pods: [{ ready: true }] }])
  assert.deepEqual(await ask(tenant), { status: 'Ready', checks: [], found: null })
})

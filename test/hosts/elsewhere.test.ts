import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { changeCluster } from '../../src/clusters/register.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi } from '../support/api.ts'
import { admin } from '../support/context.ts'
import { openFarCluster } from '../support/far.ts'

// A host whose certificate a CA elsewhere issues, which says itself for how long it is good.

const { ctx, http } = await openTestApi()
await createAuthority(ctx, admin, {
  ...{ name: 'public', kind: 'acme', directory: 'https://ca.test/directory' },
  ...{ challenge: { type: 'http-01' }, termsOfServiceAgreed: true },
})
await createTenant(ctx, admin, {
  ...{ name: 'shop', domains: ['shop.test'], namespaces: ['test'], defaultAuthority: 'public' },
})
await openFarCluster(ctx)
const at = '/v1/tenants/shop/hosts/www.shop.test'

test('what is answered of it can be put again as it is, and changed', async () => {
  const routes = [{ to: { service: 'web', namespace: 'test', port: 80 } }]
  const made = await http
    .put(at)
    .send({ routes, clusters: ['far'] })
    .expect(201)
  assert.deepEqual(made.body.certificate, { authority: 'public', keyAlgorithm: 'ECDSA_P256' })
  const { tls, http: plain, certificate, routes: asked, clusters } = made.body
  const same = { tls, http: plain, certificate, routes: asked, clusters }
  const again = await http.put(at).send(same).expect(200)
  assert.equal(again.body.generation, made.body.generation)
  const changed = await http
    .patch(at)
    .set('content-type', 'application/merge-patch+json')
    .send(JSON.stringify({ http: 'serve' }))
    .expect(200)
  assert.equal(changed.body.http, 'serve')
})

test('what its gateway cannot show such a CA is refused before anything is ordered', async () => {
  const refused = async (name: string) => {
    const spec = { routes: [{ to: { service: 'web', namespace: 'test', port: 80 } }] }
    const { body } = await http
      .put(`/v1/tenants/shop/hosts/${name}`)
      .send({ ...spec, clusters: ['far'] })
      .expect(422)
    return body.violations
  }
  const [wildcard] = await refused('*.shop.test')
  assert.equal(wildcard.field, '/name')
  assert.match(wildcard.message, /a wildcard is proved by dns-01 alone/)
  await http.delete(at).expect(202)
  await ctx.db.read.host.deleteMany({})
  await changeCluster(ctx, admin, { name: 'far', patch: { api: 'gateway-api' } })
  const [unsaid] = await refused('api.shop.test')
  assert.equal(unsaid.field, '/certificate/authority')
  assert.match(unsaid.message, /hosts of cluster "far" are written in the Gateway API/)
  assert.equal(await ctx.db.read.caOrder.count(), 0)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
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

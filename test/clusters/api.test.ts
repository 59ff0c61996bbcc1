import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkClusterNow } from '../../src/clusters/check.ts'
import { changeCluster } from '../../src/clusters/register.ts'
import { openStage, put } from '../delivery/support.ts'
import { admin } from '../support/context.ts'

const { ctx } = await openStage()

test('in whose words hosts are written is shown, and a cluster that does not serve them says so', async () => {
  const at = { name: 'sandbox' }
  assert.equal((await checkClusterNow(ctx, admin, 'sandbox')).api, 'istio')
  const changed = await changeCluster(ctx, admin, { ...at, patch: { api: 'gateway-api' } })
  assert.equal(changed.api, 'gateway-api')
  const { status, message } = await checkClusterNow(ctx, admin, 'sandbox')
  assert.equal(status, 'Failed')
  assert.match(
    message ?? '',
    /does not serve gateway\.networking\.k8s\.io\/v1 HTTPRoute.*1\.5 or later/,
  )
  await assert.rejects(put(ctx, 'no.shop.test', { tls: { minVersion: 'TLSV1_3' } }), {
    type: 'host-refused',
    message: /TLS version of one host.*cluster "sandbox" are written in the Gateway API/,
  })
  await changeCluster(ctx, admin, { ...at, patch: { api: 'istio' } })
  await put(ctx, 'yes.shop.test')
  await assert.rejects(changeCluster(ctx, admin, { ...at, patch: { api: 'gateway-api' } }), {
    type: 'cluster-in-use',
  })
  const other = await changeCluster(ctx, admin, { ...at, patch: { api: 'istio', drift: 'report' } })
  assert.deepEqual([other.api, other.drift], ['istio', 'report'])
})

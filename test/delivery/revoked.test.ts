import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gatewayTrust } from '../../src/authorities/crl/gateway.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../../src/certificates/revocation/revoke.ts'
import { probeHost } from '../../src/delivery/proof/probe.ts'
import { recordedRefs } from '../../src/hosts/objects.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { readPem } from '../../src/x509/der/pem.ts'
import { admin } from '../support/context.ts'
import { openStage, placementOf, put, read } from './support.ts'

const { ctx, kube } = await openStage()
const name = 'mutual.shop.test'

function client() {
  return issueCertificate(ctx, admin, {
    tenant: 'shop',
    request: { profile: 'client', subject: { commonName: 'client.shop.test' } },
    idempotencyKey: undefined,
  })
}

async function isServed({ id }: { id: string }): Promise<boolean> {
  const asked = { clientCertificate: id, path: '/status/418' }
  const { results } = await probeHost(ctx, admin, { tenant: 'shop', name, asked })
  return results[0]?.http?.status === 418
}

/** Milliseconds until it holds, looked at again and again. */
async function until(holds: () => Promise<boolean>): Promise<number> {
  const begun = performance.now()
  while (!(await holds())) assert.ok(performance.now() - begun < 60_000, 'it never holds')
  return Math.round(performance.now() - begun)
}

test('a revoked client is refused at the gateway, at once, and nobody else is', async (t) => {
  const worker = await startWorker(ctx, 4)
  t.after(worker.stop)
  await put(ctx, name, { tls: { mode: 'MUTUAL' } })
  await until(async () => (await read(ctx, name)).status.clusters[0]?.status === 'Synced')
  const [good, gone, next] = [await client(), await client(), await client()]
  for (const each of [good, gone, next]) assert.ok(await isServed(each))
  // The first list reaches a gateway that had none; the next replaces it.
  for (const each of [gone, next]) {
    const begun = performance.now()
    await revokeCertificate(ctx, admin, { tenant: 'shop', id: each.id, reason: 'keyCompromise' })
    const called = Math.round(performance.now() - begun)
    const refused = await until(async () => !(await isServed(each)))
    t.diagnostic(`revoked in ${called} ms, first refused handshake ${refused} ms later`)
    assert.ok(await isServed(good))
  }
  const { objects } = (await placementOf(ctx, name)).shown
  const ref = recordedRefs(objects).find(({ kind }) => kind === 'Secret')
  assert.ok(ref)
  assert.match(ref.name, /-cacert$/)
  const secret = await kube.get(ref)
  // The list of the tenant, and that of authorities: what others revoke makes it no longer.
  const { id: tenantId } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'shop' } })
  const { crl = '' } = await gatewayTrust(ctx, { authority: 'house', tenantId })
  assert.equal(readPem(crl, 'X509 CRL').length, 2)
  assert.ok(JSON.stringify(secret).includes(Buffer.from(crl).toString('base64')))
})

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Ask, ask, asker, hasOpenssl, looker, served } from '../../support/clients.ts'
import { until } from '../../support/process.ts'
import { type Http, type Stage, serve, untilSynced } from '../stage.ts'

/** A client certificate of an authority of the stage, its intermediates and its key, as one file. */
export async function newClient(
  stage: Stage,
  authority: string,
  name: string,
  tenant = 'example',
): Promise<{ readonly id: string; readonly path: string }> {
  const subject = { commonName: `${name} of ${authority}` }
  const order = { profile: 'client', subject, authority }
  const certificates = `/v1/tenants/${tenant}/certificates`
  const made = await stage.http.post(certificates).send(order)
  assert.equal(made.status, 201, made.text)
  const url = `${certificates}/${made.body.id}/bundle?privateKey=true`
  const bundle = await stage.http.get(url).buffer(true).parse(asText).expect(200)
  const path = join(stage.folder, `${tenant}-${authority}-${name}.pem`)
  await writeFile(path, String(bundle.body))
  return { id: String(made.body.id), path }
}

const asText: Parameters<ReturnType<Http['get']>['parse']>[0] = (response, done) => {
  const chunks: Buffer[] = []
  response.on('data', (chunk: Buffer) => chunks.push(chunk))
  response.on('end', () => done(null, Buffer.concat(chunks).toString()))
}

/** The runbook's three gateways: R4 of many hosts, R5 mutual, R6 passed through. */
export function gatewayCases(stage: Stage): void {
  const { http, names, tlsPort, plainPort, folder } = stage
  const ca = join(folder, 'ca.crt')
  const at = (host: keyof typeof names, path: string): Ask => {
    return { name: names[host], address: stage.address, port: tlsPort, path, ca }
  }
  const plainly = (host: keyof typeof names, path: string) => {
    const { ca: _, ...asked } = at(host, path)
    return ask({ ...asked, port: plainPort ?? 0 })
  }
  const skip = plainPort === undefined ? 'the plain port of the ingress is not told' : false

  test(`R4 ${asker}: httpbin is a teapot over HTTPS`, async () => {
    const told = await ask(at('simple', '/status/418'))
    assert.deepEqual([told.refused, told.status], [null, 418])
  })

  test(`R4 ${asker}: helloworld has /hello and nothing else`, async () => {
    assert.equal((await ask(at('hello', '/hello'))).status, 200)
    for (const path of ['/', '/other', '/hello/more', '/hell']) {
      assert.equal((await ask(at('hello', path))).status, 404, path)
    }
  })

  test(`R4 ${looker}: each host has its own certificate by SNI, the one that was issued for it`, async () => {
    const serials = new Set<string>()
    for (const host of ['simple', 'hello', 'mutual', 'through'] as const) {
      const [leaf] = await served(at(host, '/'))
      const { body } = await http.get(`/v1/tenants/example/hosts/${names[host]}`)
      const { fingerprintSha256, serial } = body.status.certificate
      assert.equal(leaf?.fingerprint256.replaceAll(':', '').toLowerCase(), fingerprintSha256)
      assert.equal(leaf?.subjectAltName, `DNS:${names[host]}`)
      serials.add(serial)
    }
    assert.equal(serials.size, 4)
  })

  test(`R4 ${looker}: an ingress sends the chain up to the root, without the root`, {
    skip: hasOpenssl ? false : 'node shows the leaf alone',
  }, async () => {
    for (const host of ['simple', 'through'] as const) {
      const chain = await served(at(host, '/'))
      assert.equal(chain.length, 2, host)
      assert.ok(chain.every(({ subject, issuer }) => subject !== issuer))
    }
  })

  test(`R4 ${asker}: the plain port serves or redirects as asked`, { skip }, async () => {
    const serving = await plainly('simple', '/status/418')
    assert.deepEqual([serving.refused, serving.status], [null, 418])
    const redirecting = await plainly('hello', '/hello')
    assert.equal(redirecting.status, 301)
    assert.match(redirecting.location, new RegExp(`^https://${names.hello}(:\\d+)?/hello$`))
    assert.equal((await plainly('through', '/')).status, 200)
  })

  test(`R4 ${asker}: a host whose plain port is off is served over HTTPS alone`, {
    skip,
  }, async () => {
    await serve(stage, 'off')
    assert.equal((await ask(at('off', '/status/418'))).status, 418)
    const told = await plainly('off', '/status/418')
    assert.ok(told.refused !== null || told.status === 404, `${told.status}`)
  })

  test(`R5 ${asker}: a MUTUAL host refuses a client without a certificate, and serves one with`, async () => {
    const without = await ask(at('mutual', '/status/418'))
    assert.equal(without.status, 0)
    assert.notEqual(without.refused, null)
    const { path: cert } = await newClient(stage, 'example-issuing', 'one')
    const withIt = await ask({ ...at('mutual', '/status/418'), cert, key: cert })
    assert.deepEqual([withIt.refused, withIt.status], [null, 418])
  })

  test(`R5 ${asker}: a MUTUAL host refuses another CA's client, and a sibling CA's under the same root`, async () => {
    const authorities = [
      { name: 'stranger', kind: 'root' },
      { name: 'sibling', kind: 'intermediate', parent: 'example-root' },
    ] as const
    for (const authority of authorities) {
      const subject = { commonName: authority.name }
      const made = await http.post('/v1/authorities').send({ ...authority, subject })
      assert.equal(made.status, 201, made.text)
      const { path: cert } = await newClient(stage, authority.name, 'one')
      const told = await ask({ ...at('mutual', '/status/418'), cert, key: cert })
      assert.equal(told.status, 0, authority.name)
      assert.notEqual(told.refused, null)
    }
  })

  test(`R5 ${asker}: a MUTUAL host refuses another tenant's client of the same authority`, async () => {
    const tenant = { name: 'neighbour', domains: ['neighbour.example.org'] }
    const made = await http.post('/v1/tenants').send(tenant)
    assert.equal(made.status, 201, made.text)
    const { path: cert } = await newClient(stage, 'example-issuing', 'one', 'neighbour')
    const told = await ask({ ...at('mutual', '/status/418'), cert, key: cert })
    assert.equal(told.status, 0)
    assert.notEqual(told.refused, null)
  })

  test(`R6 ${asker}: a PASSTHROUGH host is served by its backend over TLS that the gateway does not end`, async () => {
    const told = await ask(at('through', '/'))
    assert.deepEqual([told.refused, told.status], [null, 200])
    const { body } = await http.get(`/v1/tenants/example/hosts/${names.through}`)
    const objects: readonly { kind: string; namespace: string }[] = body.status.clusters[0].objects
    const secrets = objects.filter(({ kind }) => kind === 'Secret')
    assert.deepEqual(
      secrets.map(({ namespace }) => namespace),
      ['test'],
    )
  })

  test(`R4 ${asker}: a client that does not trust the root gets nothing`, async () => {
    const { body } = await http.get('/v1/authorities/stranger')
    const path = join(folder, 'stranger.crt')
    await writeFile(path, body.pem)
    assert.equal((await ask({ ...at('simple', '/status/418'), ca: path })).status, 0)
  })

  test(`R5 ${asker}: a client that was revoked is refused, and the others are not`, async () => {
    const [gone, kept] = [
      await newClient(stage, 'example-issuing', 'gone'),
      await newClient(stage, 'example-issuing', 'kept'),
    ]
    const askAs = (cert: string) => ask({ ...at('mutual', '/status/418'), cert, key: cert })
    assert.equal((await askAs(gone.path)).status, 418)
    const url = `/v1/tenants/example/certificates/${gone.id}/revoke`
    await http.post(url).send({ reason: 'keyCompromise' }).expect(200)
    const refused = async () => ((await askAs(gone.path)).status === 0 ? true : undefined)
    await until('the gateway refuses it', refused, stage.timeoutSeconds)
    const told = await askAs(kept.path)
    assert.deepEqual([told.refused, told.status], [null, 418])
    assert.notEqual((await askAs(gone.path)).refused, null)
  })

  test(`R6 ${looker}: a backend serves the certificate that a renewal brings`, {
    skip: stage.backendsReload ? false : 'backends there read their certificate when they start',
  }, async () => {
    const url = `/v1/tenants/example/hosts/${names.through}`
    const { body: before } = await http.get(url)
    const { id, fingerprintSha256 } = before.status.certificate
    const renewed = await http.post(`/v1/tenants/example/certificates/${id}/renew`).send({})
    assert.equal(renewed.status, 201, renewed.text)
    await until('the new one is served', async () => {
      const [leaf] = await served(at('through', '/'))
      const found = leaf?.fingerprint256.replaceAll(':', '').toLowerCase()
      assert.ok(found === fingerprintSha256 || found === renewed.body.fingerprintSha256)
      return found === renewed.body.fingerprintSha256 ? true : undefined
    })
    await untilSynced(stage, names.through)
  })
}

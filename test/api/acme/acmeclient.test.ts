import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import acme from 'acme-client'
import { openAcme } from '../../support/acme.ts'

// acme-client of npm, which knows nothing of this service but the URL of a directory.

const { challenges, keyFor, directoryUrl, http } = await openAcme()

async function clientWith(asked: Parameters<typeof keyFor>[0] = {}, tenant = 'shop') {
  const accountKey = await acme.crypto.createPrivateEcdsaKey()
  const externalAccountBinding = await keyFor(asked, tenant)
  const quick = { backoffMin: 50, backoffMax: 500, backoffAttempts: 60 }
  const client = new acme.Client({ directoryUrl, accountKey, externalAccountBinding, ...quick })
  return { client, accountKey, kid: externalAccountBinding.kid }
}

const create: acme.ClientAutoOptions['challengeCreateFn'] = async (
  { identifier: { value } },
  { type, token },
  keyAuthorization,
) => {
  if (type === 'http-01') {
    challenges.http.set(`${value}/.well-known/acme-challenge/${token}`, keyAuthorization)
  } else if (type === 'dns-01') {
    challenges.txt.set(`_acme-challenge.${value}`, ['another', keyAuthorization])
  } else {
    const [key, cert] = await acme.crypto.createAlpnCertificate(
      { identifier: { type: 'dns', value } } as acme.Authorization,
      keyAuthorization,
    )
    challenges.alpn.set(value, { key, cert })
  }
}
const remove = async () => undefined

async function issue(client: acme.Client, names: readonly string[], challenge = 'http-01') {
  const [key, csr] = await acme.crypto.createCsr({ altNames: [...names] })
  const pem = await client.auto({
    ...{ csr, email: 'ops@shop.test', termsOfServiceAgreed: true },
    ...{ challengeCreateFn: create, challengeRemoveFn: remove },
    ...{ challengePriority: [challenge], skipChallengeVerification: true },
  })
  return { key, pem, leaf: new X509Certificate(pem) }
}

test('names of the tenant are had at once by a key that is preauthorized', async () => {
  const { client } = await clientWith()
  const { pem, leaf } = await issue(client, ['www.shop.test', '*.shop.test'])
  assert.equal(leaf.subjectAltName, 'DNS:www.shop.test, DNS:*.shop.test')
  const [, issuing] = acme.crypto.splitPemChain(pem)
  assert.ok(leaf.checkIssued(new X509Certificate(issuing ?? '')))
  const { body } = await http.get('/v1/tenants/shop/certificates?name=www.shop.test').expect(200)
  assert.equal(body.items.length, 1)
  assert.equal(body.items[0].keySource, 'caller')
})

for (const challenge of ['http-01', 'dns-01', 'tls-alpn-01']) {
  test(`a name is proved by ${challenge}`, async () => {
    const { client } = await clientWith({ preauthorized: false })
    const name = `${challenge}.shop.test`
    const { leaf } = await issue(client, [name], challenge)
    assert.equal(leaf.subjectAltName, `DNS:${name}`)
  })
}

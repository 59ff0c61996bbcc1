import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestContext } from '../../support/context.ts'
import { openssl, opensslBytes } from '../../support/openssl.ts'
import { adminKey, settingsFor, startProcess, untilReady } from '../../support/process.ts'

test('the program as it is built opens a store of before, in a thread of its own', async () => {
  const { config } = await openTestContext()
  const settings = await settingsFor(config.databaseUrl)
  const token = await adminKey(settings)
  const url = await untilReady(startProcess(['serve'], settings), settings)
  const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const uses = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign']
  const request = ['req', '-x509', '-key', 'k', '-subj', '/CN=Built', '-days', '9', ...uses]
  const certificate = openssl(request, { k: key })
  const store = opensslBytes(
    ['pkcs12', '-export', '-legacy', '-inkey', 'k', '-in', 'c', '-passout', 'pass:x', '-out', 'o'],
    { k: key, c: certificate },
    'o',
  )
  const answer = await fetch(`${url}/v1/authorities/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'built', pkcs12: store.toString('base64'), passphrase: 'x' }),
  })
  const text = await answer.text()
  assert.equal(answer.status, 201, text)
  assert.equal(JSON.parse(text).keyHeld, true)
})

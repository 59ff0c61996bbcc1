import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { Credentials } from '../../../src/clusters/cluster.ts'
import { changedCredentials, newCredentials } from '../../../src/clusters/credentials/forms.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf } from '../../support/problem.ts'

const now = new Date()
const ca = openssl([
  ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
  ...['-keyout', '/dev/null', '-subj', '/CN=kubernetes', '-days', '2'],
])
const server = 'https://192.0.2.1:6443'
const token = 'abc.def'
const kubeconfig = JSON.stringify({
  'current-context': 'k',
  contexts: [{ name: 'k', context: { cluster: 'k', user: 'k' } }],
  clusters: [{ name: 'k', cluster: { server, 'tls-server-name': 'kube.test' } }],
  users: [{ name: 'k', user: { token: 'before' } }],
})

const ended = `x.${Buffer.from(JSON.stringify({ exp: 1 })).toString('base64url')}.x`

const wrong: readonly {
  readonly title: string
  readonly given: Credentials
  readonly fields: readonly string[]
}[] = [
  { title: 'nothing', given: {}, fields: ['/kubeconfig'] },
  { title: 'both', given: { kubeconfig, server, token }, fields: ['/server', '/token'] },
  { title: 'a server alone', given: { server }, fields: ['/ca', '/token'] },
  { title: 'no CA', given: { server, token }, fields: ['/ca'] },
  { title: 'plain HTTP', given: { server: 'http://a', ca, token }, fields: ['/server'] },
  { title: 'a CA that is no PEM', given: { server, ca: 'MII', token }, fields: ['/ca'] },
  {
    title: 'a token with a blank',
    given: { server, ca, token: 'a b' },
    fields: ['/token'],
  },
  {
    title: 'all of them wrong',
    given: { server: 'a', ca: '-', token: ended },
    fields: ['/server', '/ca', '/token'],
  },
]

for (const { title, given, fields } of wrong) {
  test(`a cluster with ${title} is refused, and each part says so`, async () => {
    const work = Promise.resolve().then(() => newCredentials(given, now))
    assert.deepEqual(await fieldsOf('request-invalid', work), fields)
  })
}

const read = (text: string) => {
  const { clusters, users } = parse(text)
  return { cluster: clusters[0].cluster, user: users[0].user }
}

test('server, CA and token are stored as a kubeconfig is', () => {
  const made = newCredentials({ server: `${server}/`, ca, token }, now)
  assert.equal(made.server, server)
  assert.deepEqual(read(made.text), {
    cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
    user: { token },
  })
})

test('a token alone takes the place of the user, and the rest stays', async () => {
  const stored = newCredentials({ kubeconfig }, now).text
  const change = (given: Credentials) => changedCredentials(given, async () => stored, now)
  assert.equal(await change({}), undefined)
  const changed = await change({ token })
  assert.ok(changed)
  assert.deepEqual(read(changed.text), {
    cluster: { server, 'tls-server-name': 'kube.test' },
    user: { token },
  })
  const moved = await change({ token, server: 'https://192.0.2.2' })
  assert.deepEqual(read(moved?.text ?? '').cluster, { server: 'https://192.0.2.2' })
})

test('the token of before goes to no other server, and to whom no other CA trusts', async () => {
  for (const given of [{ server: 'https://192.0.2.2' }, { ca }, { server, ca }]) {
    const work = changedCredentials(given, () => assert.fail('nothing is opened'), now)
    assert.deepEqual(await fieldsOf('request-invalid', work), ['/token'])
  }
})

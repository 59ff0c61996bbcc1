import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { isForbiddenAddress, partsOf, safeLookup } from '../../src/clusters/addresses.ts'
import { completeIngress, ingressFaults, leadingFaults } from '../../src/clusters/ingresses.ts'
import { connect as connectKube } from '../../src/clusters/kubernetes/connect.ts'

const table = [
  ['169.254.169.254', true],
  ['169.254.0.1', true],
  ['0.0.0.0', true],
  ['0.1.2.3', true],
  ['100.100.100.200', true],
  ['168.63.129.16', true],
  ['192.0.0.192', true],
  ['224.0.0.1', true],
  ['255.255.255.255', true],
  ['::', true],
  ['fe80::1', true],
  ['ff02::1', true],
  ['fd00:ec2::254', true],
  ['fd20:ce::254', true],
  ['::ffff:169.254.169.254', true],
  ['::ffff:a9fe:a9fe', true],
  ['::ffff:0.0.0.0', true],
  ['::169.254.169.254', true],
  ['64:ff9b::a9fe:a9fe', true],
  ['2002:a9fe:a9fe::1', true],
  ['127.0.0.1', false],
  ['::1', false],
  ['::ffff:127.0.0.1', false],
  ['10.0.0.1', false],
  ['172.16.0.1', false],
  ['192.168.0.1', false],
  ['100.64.0.1', false],
  ['fd12:3456::1', false],
  ['192.0.2.1', false],
  ['2001:db8::1', false],
] as const

for (const [address, forbidden] of table) {
  test(`${address} is ${forbidden ? 'never connected to' : 'an address like any other'}`, () => {
    assert.equal(isForbiddenAddress(address), forbidden)
    const text = address.includes(':') ? `[${address}]:443` : `${address}:443`
    assert.equal(partsOf(text).host, address)
    const faults = ingressFaults({ default: completeIngress({ address: text }) })
    assert.deepEqual(
      faults.map(({ field }) => field),
      forbidden ? ['/ingress/address'] : [],
    )
  })
}

/** Spellings that only the system's resolver takes for addresses. */
const spellings = ['0xa9fea9fe', '2852039166', '0251.0376.0251.0376', '169.254.43518', '0']

for (const spelling of spellings) {
  test(`${spelling} is not connected to, and refused when a cluster is registered`, async () => {
    const error = await new Promise<Error>((resolve, reject) => {
      const socket = connect({ host: spelling, port: 80, lookup: safeLookup })
      socket.once('error', resolve)
      socket.once('connect', () => reject(new Error('connected')))
    })
    assert.match(error.message, /never connected to/)
    const ingress = completeIngress({ address: `${spelling}:443`, plainAddress: `${spelling}:80` })
    assert.deepEqual(
      (await leadingFaults({ default: ingress })).map(({ field }) => field),
      ['/ingress/address', '/ingress/plainAddress'],
    )
  })
}

test('a name that cannot be found just now is no reason to refuse a cluster', async () => {
  const ingress = completeIngress({ address: 'nowhere.invalid:443' })
  assert.deepEqual(await leadingFaults({ default: ingress }), [])
})

test('a name that leads to one address that may be asked and one that may not is asked at the first', async () => {
  const found = await new Promise((resolve) =>
    safeLookup('localhost', { all: true }, (_error, addresses) => resolve(addresses)),
  )
  assert.ok(Array.isArray(found) && found.length > 0)
})

test('credentials stored by an earlier release are not sent to such an address either', async () => {
  const kubeconfig = JSON.stringify({
    'current-context': 'k',
    contexts: [{ name: 'k', context: { cluster: 'k', user: 'k' } }],
    clusters: [{ name: 'k', cluster: { server: 'https://169.254.169.254:1' } }],
    users: [{ name: 'k', user: { token: 'before' } }],
  })
  const kube = connectKube(kubeconfig)
  const refused = { fault: 'unreachable', message: /never connected to/ }
  await assert.rejects(kube.version(), refused)
  await assert.rejects(kube.list({ apiVersion: 'v1', kind: 'Secret' }), refused)
  await assert.rejects(kube.forward({ namespace: 'a', name: 'b', port: 1 }), refused)
  kube.close()
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import acme from 'acme-client'
import { createAuthority } from '../../../src/authorities/create.ts'
import { crossSign } from '../../../src/authorities/issuers/crosssign.ts'
import { openAcme } from '../../support/acme.ts'
import { acmeHand } from '../../support/acmehand.ts'
import { admin } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { until } from '../../support/process.ts'

// Where a root is certified by another one too, clients choose the chain that their verifiers know (RFC 8555 7.4.2).

const { ctx, http, directoryUrl, keyFor } = await openAcme()
const hand = acmeHand(directoryUrl)
const shop = await hand.open(await keyFor())

async function certificateOf(name: string): Promise<string> {
  const identifiers = [{ type: 'dns', value: name }]
  const order = await hand.post('/new-order', { identifiers }, shop)
  const [, csr] = await acme.crypto.createCsr({ altNames: [name] })
  const der = Buffer.from(csr.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64')
  const asked = { csr: der.toString('base64url') }
  const done = await hand.post(order.body.finalize, asked, shop)
  assert.equal(done.body.status, 'valid', done.text)
  return done.body.certificate
}

/** A chain as it is downloaded, and where the others are. */
async function download(place: string, who = shop) {
  const { status, text, headers } = await hand.post(place, '', who)
  const links = (headers.get('link') ?? '').matchAll(/<([^>]+)>;rel="alternate"/g)
  return { status, pem: text, others: [...links].map(([, each = '']) => each) }
}

const verified = (chain: string, root: string) =>
  openssl(
    ['verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'chain.pem', 'chain.pem'],
    { 'root.pem': root, 'chain.pem': chain },
  )

test('a chain to one root is told alone', async () => {
  const { others, status, pem } = await download(await certificateOf('one.shop.test'))
  assert.deepEqual([status, others], [200, []])
  assert.equal(pem.split('BEGIN').length, 3)
})

test('each chain names the others, and each verifies to its own root', async () => {
  const subject = { commonName: 'partner root' }
  const partner = await createAuthority(ctx, admin, { name: 'partner', kind: 'root', subject })
  const { body: root } = await http.get('/v1/authorities/root').expect(200)
  await crossSign(ctx, admin, { authority: 'root', by: 'partner' })
  // Two that certify each other lead nobody round in circles.
  await crossSign(ctx, admin, { authority: 'partner', by: 'root' })
  const place = await certificateOf('two.shop.test')
  // What was read before is kept for some seconds.
  const first = await until('the other chain is told', async () => {
    const found = await download(place)
    return found.others.length > 0 ? found : undefined
  })
  assert.equal(first.others.length, 1)
  const [second = ''] = first.others
  assert.equal(second, `${place}/1`)
  const other = await download(second)
  assert.deepEqual(other.others, [place])
  verified(first.pem, root.pem)
  verified(other.pem, partner.pem)
  assert.throws(() => verified(first.pem, partner.pem))
  const [leaf] = acme.crypto.splitPemChain(first.pem)
  assert.equal(acme.crypto.splitPemChain(other.pem)[0], leaf)
  for (const wrong of [`${place}/2`, `${place}/0`, `${place}/x`, `${place}/-1`]) {
    assert.equal((await download(wrong)).status, 404, wrong)
  }
  const stranger = await hand.open(await keyFor({}, 'other'))
  assert.equal((await download(second, stranger)).status, 404)
})

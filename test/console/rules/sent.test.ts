import assert from 'node:assert/strict'
import { test } from 'node:test'
import { covers } from '../../../console/certificates/covers.ts'
import { foundIn, nothingSent, withFound } from '../../../console/certificates/sent.ts'
import { leafFor, openElsewhere, sentOf } from '../../certificates/uploads/elsewhere.ts'
import { opensslBytes } from '../../support/openssl.ts'

const { root, between } = await openElsewhere()
const sent = sentOf(await leafFor(between, ['a.example.com']), between, root)
const files = { 'c.pem': sent.certificate, 'k.pem': sent.privateKey }
const made = (command: string) => opensslBytes(command.split(' '), files, 'out')
const flat = (pem: string) => pem.replace(/\s/g, '')
const pemOf = (octets: Uint8Array) => {
  const found = foundIn(octets)
  return found.kind === 'pkcs12' ? 'a store' : flat(found.pem)
}

test('a file is seen to be what is in it, whatever it is called', () => {
  const der = made('x509 -in c.pem -outform DER -out out')
  assert.ok(flat(sent.certificate).startsWith(pemOf(der)))
  assert.equal(foundIn(der).kind, 'certificate')
  assert.equal(
    pemOf(made('pkcs8 -topk8 -nocrypt -in k.pem -outform DER -out out')),
    flat(sent.privateKey),
  )
  for (const [command, label] of [
    ['pkcs8 -topk8 -in k.pem -passout pass:secret -outform DER -out out', 'ENCRYPTEDPRIVATEKEY'],
    ['ec -in k.pem -outform DER -out out', 'ECPRIVATEKEY'],
    ['genrsa -traditional -out out 2048', 'RSAPRIVATEKEY'],
  ] as const) {
    const octets = made(command)
    assert.equal(foundIn(octets).kind, 'privateKey', command)
    assert.match(pemOf(octets), new RegExp(`^-----BEGIN${label}-----`), command)
  }
  const bundle = made('crl2pkcs7 -nocrl -certfile c.pem -outform DER -out out')
  assert.match(pemOf(bundle), /^-----BEGINPKCS7-----/)
  const store = made('pkcs12 -export -in c.pem -inkey k.pem -passout pass:secret -out out')
  assert.deepEqual(foundIn(store), { kind: 'pkcs12', base64: store.toString('base64') })
})

test('a text of Windows is read, and what is no text is left to the service to name', () => {
  const wide = Buffer.from(`\ufeff${sent.certificate}`, 'utf16le')
  assert.equal(pemOf(wide), flat(sent.certificate))
  const java = Buffer.from([0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2])
  assert.equal(foundIn(java).kind, 'pkcs12')
  assert.deepEqual(foundIn(Buffer.from('hello')), { kind: 'certificate', pem: 'hello' })
  assert.deepEqual(foundIn(Buffer.alloc(0)), { kind: 'certificate', pem: '' })
})

test('certificates come together, the last key counts, and a store comes alone', () => {
  const found = (text: string) => foundIn(Buffer.from(text))
  const one = withFound(withFound(nothingSent, found(between.pem)), found(root.pem))
  assert.equal(flat(one.certificate), flat(between.pem + root.pem))
  assert.equal(withFound(one, found(root.pem)).certificate, one.certificate)
  assert.equal(withFound(one, found(sent.privateKey)).privateKey, sent.privateKey)
  const store = withFound(one, { kind: 'pkcs12', base64: 'MAA=' })
  assert.deepEqual(store, { ...nothingSent, pkcs12: 'MAA=' })
  assert.equal(withFound(store, found(root.pem)).pkcs12, '')
})

test('a name is good for a host if it is its own, or a wildcard for its first label', () => {
  assert.ok(covers(['a.example.com'], 'a.example.com'))
  assert.ok(covers(['*.example.com'], 'a.example.com'))
  assert.ok(covers(['*.example.com'], '*.example.com'))
  for (const host of ['a.b.example.com', 'example.com', '*.b.example.com']) {
    assert.ok(!covers(['*.example.com'], host), host)
  }
})

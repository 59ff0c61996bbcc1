import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { hasOpenssl } from '../../support/clients.ts'
import { openssl } from '../../support/openssl.ts'
import type { Http } from '../stage.ts'

/** What a certificate of each profile may be used for: the purposes that openssl grants it, and the
 *  extended key usages (RFC 5280 4.2.1.12) by their OIDs. */
const purposes = {
  server: { granted: ['sslserver'], denied: ['sslclient'], extended: ['1.3.6.1.5.5.7.3.1'] },
  client: { granted: ['sslclient'], denied: ['sslserver'], extended: ['1.3.6.1.5.5.7.3.2'] },
  peer: {
    granted: ['sslserver', 'sslclient'],
    denied: [],
    extended: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
  },
} as const

/** A certificate as the API shows it, as far as it is looked at here. */
type Shown = {
  readonly pem: string
  readonly chainPem: string
  readonly profile: keyof typeof purposes
  readonly keyAlgorithm: string
  readonly serial: string
  readonly subject: { readonly commonName?: string; readonly organization?: string }
  readonly dnsNames: readonly string[]
  readonly uris: readonly string[]
  readonly notBefore: string
  readonly notAfter: string
  readonly fingerprintSha256: string
}

/** What the API hands out, read again by openssl and by node. */
export function certificateCases(http: Http): void {
  const skip = hasOpenssl ? false : 'openssl is not on PATH'

  test('R2 openssl verifies every chain strictly, for what it is made for and nothing else', {
    skip,
  }, async () => {
    await issueEvery(http)
    const root = await authority(http, 'example-root')
    const issuing = await authority(http, 'example-issuing')
    const files = { 'root.pem': root, 'issuing.pem': issuing }
    const strictly = ['verify', '-x509_strict', '-CAfile', 'root.pem']
    openssl([...strictly, 'root.pem'], files)
    openssl([...strictly, 'issuing.pem'], files)
    for (const { pem, chainPem, profile } of await all(http)) {
      const { granted, denied } = purposes[profile]
      const each = { ...files, 'leaf.pem': pem, 'chain.pem': chainPem }
      const verify = (purpose: string) =>
        openssl([...strictly, '-purpose', purpose, '-untrusted', 'chain.pem', 'leaf.pem'], each)
      for (const purpose of granted) verify(purpose)
      for (const purpose of denied) assert.throws(() => verify(purpose), purpose)
    }
  })

  test('R2 a root that openssl made is imported, and issues', { skip }, async () => {
    const made = openssl([
      ...['req', '-x509', '-sha256', '-nodes', '-days', '365', '-newkey', 'rsa:2048'],
      ...['-subj', '/O=example Inc./CN=example.com', '-keyout', '-', '-out', '-'],
    ])
    const [privateKey, certificate] =
      made.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? []
    const imported = { name: 'by-openssl', certificate, privateKey }
    const answer = await http.post('/v1/authorities/import').send(imported)
    assert.equal(answer.status, 201, answer.text)
    const order = { profile: 'server', dnsNames: ['a.example.com'], authority: 'by-openssl' }
    const { body } = await http.post('/v1/tenants/example/certificates').send(order).expect(201)
    const files = { 'root.pem': `${certificate}\n`, 'leaf.pem': body.pem }
    openssl(['verify', '-CAfile', 'root.pem', '-purpose', 'sslserver', 'leaf.pem'], files)
  })

  test('R2 key usage and extended key usage are those of the profile and the key, and critical', {
    skip,
  }, async () => {
    for (const { pem, profile, keyAlgorithm } of await all(http)) {
      const text = fields(pem, ['-ext', 'keyUsage,extendedKeyUsage,basicConstraints'])
      const [, usage = ''] = /X509v3 Key Usage: critical\n\s*(.*)/.exec(text) ?? []
      // RSA key transport is for servers alone (RFC 5246 7.4.2, RFC 8446 4.4.2.2).
      const enciphers = keyAlgorithm.startsWith('RSA') && profile !== 'client'
      const expected = enciphers ? 'Digital Signature, Key Encipherment' : 'Digital Signature'
      assert.equal(usage.trim(), expected, `${profile} ${keyAlgorithm}`)
      const { keyUsage, ca } = new X509Certificate(pem)
      assert.deepEqual(keyUsage, purposes[profile].extended)
      assert.equal(ca, false)
    }
  })

  test('R2 serials are unique and random, of 16 octets', async () => {
    const serials = (await all(http)).map(({ serial }) => serial)
    assert.equal(new Set(serials).size, serials.length)
    assert.ok(serials.every((serial) => /^[0-7][0-9a-f]{31}$/.test(serial)))
    // 64 random bits or more: no two begin alike.
    assert.equal(new Set(serials.map((serial) => serial.slice(0, 8))).size, serials.length)
  })

  test('R2 openssl, node and the API agree on every field', { skip }, async () => {
    for (const shown of await all(http)) {
      const text = fields(shown.pem, [
        ...['-serial', '-subject', '-issuer', '-nameopt', 'RFC2253', '-dates', '-dateopt'],
        ...['iso_8601', '-fingerprint', '-sha256', '-pubkey', '-ext', 'subjectAltName'],
      ])
      const byNode = new X509Certificate(shown.pem)
      const byOpenssl = (name: string) =>
        new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1]?.trim() ?? ''
      const sameNames = (a: string, b: string) =>
        assert.deepEqual(a.split(',').toSorted(), b.split('\n').toSorted())
      assert.equal(byOpenssl('serial').toLowerCase(), shown.serial)
      assert.equal(byNode.serialNumber.toLowerCase(), shown.serial)
      sameNames(byOpenssl('subject'), byNode.subject ?? '')
      sameNames(byOpenssl('issuer'), byNode.issuer)
      const { commonName, organization } = shown.subject
      if (commonName) assert.ok(byOpenssl('subject').includes(`CN=${commonName}`))
      if (organization) assert.ok(byOpenssl('subject').includes(`O=${organization}`))
      const begin = new Date(byOpenssl('notBefore')).toISOString()
      const end = new Date(byOpenssl('notAfter')).toISOString()
      assert.deepEqual([begin, end], [shown.notBefore, shown.notAfter])
      assert.equal(byNode.validFromDate.toISOString(), begin)
      assert.equal(byNode.validToDate.toISOString(), end)
      const fingerprint = byOpenssl('sha256 Fingerprint').replaceAll(':', '').toLowerCase()
      assert.equal(fingerprint, shown.fingerprintSha256)
      assert.equal(byNode.fingerprint256.replaceAll(':', '').toLowerCase(), fingerprint)
      const names = [
        ...shown.dnsNames.map((name) => `DNS:${name}`),
        ...shown.uris.map((uri) => `URI:${uri}`),
      ].join(', ')
      assert.equal(byNode.subjectAltName ?? '', names)
      assert.equal(/Alternative Name:.*\n\s*(.*)/.exec(text)?.[1]?.trim() ?? '', names)
      const spki = byNode.publicKey.export({ type: 'spki', format: 'pem' }).toString()
      assert.ok(text.includes(spki.trim()))
    }
  })
}

async function issueEvery(http: Http): Promise<void> {
  const keyAlgorithms = ['ECDSA_P256', 'ECDSA_P384', 'RSA_2048', 'ED25519']
  for (const profile of Object.keys(purposes)) {
    for (const keyAlgorithm of keyAlgorithms) {
      const dnsNames = [`${profile}.example.com`, `also-${profile}.example.com`]
      const subject = { commonName: `${profile}.example.com`, organization: 'example Inc.' }
      const asked = { profile, keyAlgorithm, dnsNames, subject }
      const made = await http.post('/v1/tenants/example/certificates').send(asked)
      assert.equal(made.status, 201, made.text)
    }
  }
}

/** Those of the runbook's authority. */
async function all(http: Http): Promise<readonly Shown[]> {
  const { body } = await http.get('/v1/certificates?limit=500').expect(200)
  const items: readonly (Shown & { authority: string })[] = body.items
  const found = items.filter((each) => each.authority === 'example-issuing')
  assert.ok(found.length > 4)
  return found
}

async function authority(http: Http, name: string): Promise<string> {
  const { body } = await http.get(`/v1/authorities/${name}`).expect(200)
  return String(body.pem)
}

function fields(pem: string, options: readonly string[]): string {
  return openssl(['x509', '-in', 'leaf.pem', '-noout', ...options], { 'leaf.pem': pem })
}

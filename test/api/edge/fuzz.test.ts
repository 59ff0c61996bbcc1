import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createAuthority } from '../../../src/authorities/create.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { extension } from '../../../src/x509/certificates/extensions.ts'
import {
  bitString,
  context,
  integer,
  sequence,
  setOf,
  tlv,
} from '../../../src/x509/der/encoding.ts'
import { oid, oids } from '../../../src/x509/der/oids.ts'
import { toPem } from '../../../src/x509/der/pem.ts'
import { spkiOf } from '../../../src/x509/keys/public.ts'
import { keySigner } from '../../../src/x509/keys/sign.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { encodeName } from '../../../src/x509/names/distinguished.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { rawAnswer } from '../../support/raw.ts'
import { createRequest } from '../../support/request.ts'

// Whatever is sent, the answer is one that a client can act on, and never 5xx. Failures that were found
// are rows of the tables below. That nothing stops the process is told by worstbodies.test.ts.

const { ctx, api, url } = await openTestApi()
await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'R' } })
await createTenant(ctx, admin, {
  name: 'example',
  domains: ['example.com'],
  defaultAuthority: 'root',
})
const token = await tokenFor(ctx, null)

/** Many more at leisure: GATESMITH_FUZZ=20 node --test … */
const runs = (count: number) => count * Number(process.env.GATESMITH_FUZZ ?? 1)

const certificates = '/v1/tenants/example/certificates'

type Sent = {
  readonly method?: string
  readonly path: string
  readonly body?: string | Buffer
  readonly type?: string
}

/** Sends bytes as they are, and holds the answer to what every answer promises. */
async function answerTo({ method = 'POST', path, body, type = 'application/json' }: Sent) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': type }),
    },
    ...(body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) }),
  })
  const text = await response.text()
  const about = `${method} ${path.slice(0, 200)} ${String(body).slice(0, 500)} → ${response.status} ${text.slice(0, 300)}`
  assert.ok(response.status < 500, about)
  assert.match(response.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/, about)
  assert.ok(text.length < 100_000, `an answer of ${text.length}: ${about}`)
  // GraphQL has a form of its own for errors.
  if (response.status >= 400 && path.split('?')[0] !== '/graphql') {
    assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/, about)
    const problem: unknown = JSON.parse(text)
    assert.ok(typeof problem === 'object' && problem !== null && 'type' in problem, about)
  }
  return response.status
}

async function refused(sent: Sent): Promise<void> {
  const status = await answerTo(sent)
  assert.ok(status >= 400, `${sent.path} ${String(sent.body).slice(0, 300)} → ${status}`)
}

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const spki = spkiOf(keys.publicKey)
const good = await createRequest({
  subject: { commonName: 'a.example.com' },
  altNames: { ...noAltNames, dnsNames: ['a.example.com'] },
  spki,
  signer: keySigner(keys.privateKey),
})

const ask = (csr: unknown) => JSON.stringify({ profile: 'server', csr })
const pemOf = (der: Buffer) => toPem('CERTIFICATE REQUEST', der)
const send = (csr: unknown): Sent => ({ path: certificates, body: ask(csr) })

/** A request over any bytes, well signed. */
function signedRequest(
  parts: { name?: Buffer; spki?: Buffer; attributes?: Buffer; version?: Buffer } = {},
): Buffer {
  const info = sequence(
    parts.version ?? integer(0),
    parts.name ?? encodeName({ commonName: 'a.example.com' }),
    parts.spki ?? spki,
    parts.attributes ?? context(0),
  )
  const algorithm = sequence(oid(oids.ecdsaSha256))
  return sequence(info, algorithm, bitString(sign('sha256', info, keys.privateKey)))
}

function asking(...extensions: readonly Buffer[]): Buffer {
  const attribute = sequence(oid(oids.extensionRequest), setOf(sequence(...extensions)))
  return signedRequest({ attributes: context(0, attribute) })
}

const dnsName = (text: string) => tlv(0x82, Buffer.from(text, 'latin1'))
const altNames = (...names: readonly Buffer[]) =>
  asking(extension(oids.subjectAltName, false, sequence(...names)))

function nested(depth: number, tag: number): Buffer {
  let der: Buffer = Buffer.alloc(0)
  for (let i = 0; i < depth; i++) der = tlv(tag, der)
  return der
}

const opensslRequest = (...args: readonly string[]) =>
  openssl(['req', '-new', '-nodes', '-keyout', 'k.pem', '-subj', '/CN=a.example.com', ...args])

const csrs: readonly (readonly [string, string])[] = [
  ['no PEM', 'nonsense'],
  ['an empty block', '-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n'],
  ['a block without an end', '-----BEGIN CERTIFICATE REQUEST-----\nMIIB'],
  ['two requests', pemOf(good) + pemOf(good)],
  ['a bomb of BEGIN lines', '-----BEGIN CERTIFICATE REQUEST-----\n'.repeat(3_500)],
  ['a bomb of blocks', '-----BEGIN X-----\nAAAA\n-----END X-----\n'.repeat(3_500)],
  ['a bomb of white space', `-----BEGIN CERTIFICATE REQUEST-----\n${' \n'.repeat(60_000)}`],
  ['too much text', 'A'.repeat(140_000)],
  ['a certificate', toPem('CERTIFICATE', good)],
  ['bytes after the end', pemOf(Buffer.concat([good, Buffer.of(0)]))],
  ['deep sequences', pemOf(nested(10_000, 0x30))],
  ['deep sets in a name', pemOf(signedRequest({ name: nested(5_000, 0x31) }))],
  ['an indefinite length', pemOf(Buffer.from('30800000', 'hex'))],
  ['a length of 2^31', pemOf(Buffer.from('308480000000', 'hex'))],
  ['a length of -1', pemOf(Buffer.from('3084ffffffff', 'hex'))],
  ['a length of nine octets', pemOf(Buffer.from('3089ffffffffffffffffff', 'hex'))],
  ['a length not in its shortest form', pemOf(Buffer.from('30810100', 'hex'))],
  ['a high tag', pemOf(Buffer.from('3f8100', 'hex'))],
  ['many elements', pemOf(sequence(...Array.from({ length: 20_000 }, () => Buffer.of(5, 0))))],
  ['a negative version', pemOf(signedRequest({ version: Buffer.from('0201ff', 'hex') }))],
  ['a version of 2^64', pemOf(signedRequest({ version: integer(Buffer.alloc(9, 255)) }))],
  ['secp256k1', opensslRequest('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1')],
  ['P-192', opensslRequest('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-192')],
  ['P-521', opensslRequest('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-521')],
  ['a binary curve', opensslRequest('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:sect283k1')],
  [
    'explicit parameters',
    opensslRequest(
      ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      ...['-pkeyopt', 'ec_param_enc:explicit'],
    ),
  ],
  ['RSA of 1024 bits', opensslRequest('-newkey', 'rsa:1024')],
  ['a request signed by SHA-1', opensslRequest('-newkey', 'rsa:2048', '-sha1')],
  ['a point not on its curve', pemOf(signedRequest({ spki: withPoint(Buffer.alloc(64, 7)) }))],
  ['a point at infinity', pemOf(signedRequest({ spki: ecSpki(oid(oids.p256), Buffer.of(0)) }))],
  ['an RSA key of 60,000 octets', pemOf(signedRequest({ spki: rsaSpki(60_000, 60_000) }))],
  ['an RSA key of 2,000 octets', pemOf(signedRequest({ spki: rsaSpki(2_000, 2_000) }))],
  ['CA:TRUE', opensslRequest('-newkey', 'rsa:2048', '-addext', 'basicConstraints=CA:TRUE')],
  ['keyCertSign', opensslRequest('-newkey', 'rsa:2048', '-addext', 'keyUsage=keyCertSign')],
  [
    'name constraints',
    opensslRequest('-newkey', 'rsa:2048', '-addext', 'nameConstraints=permitted;DNS:x'),
  ],
  ['otherName', opensslRequest('-newkey', 'rsa:2048', '-addext', 'subjectAltName=RID:1.2.3')],
  ['a name that is not ASCII', pemOf(altNames(dnsName('bücher.example.com')))],
  ['a name with NUL', pemOf(altNames(dnsName('a.example.com\0.evil.test')))],
  ['a name of 60,000 characters', pemOf(altNames(dnsName('a'.repeat(60_000))))],
  ['an empty list of names', pemOf(altNames())],
  ['an address of five octets', pemOf(altNames(tlv(0x87, Buffer.alloc(5))))],
  [
    '10,000 names',
    pemOf(altNames(...Array.from({ length: 10_000 }, (_, i) => dnsName(`${i}.example.com`)))),
  ],
  [
    '1,000 names',
    pemOf(altNames(...Array.from({ length: 1_000 }, (_, i) => dnsName(`${i}.example.com`)))),
  ],
  ['a subject with NUL', pemOf(signedRequest({ name: nameWith(tlv(0x0c, Buffer.from('a\0b'))) }))],
  [
    'a subject that is not UTF-8',
    pemOf(signedRequest({ name: nameWith(tlv(0x0c, Buffer.of(0xff, 0xfe))) })),
  ],
  [
    'a subject of half a character',
    pemOf(signedRequest({ name: nameWith(tlv(0x1e, Buffer.of(0xd8, 0x00))) })),
  ],
  ['two lists of extensions', pemOf(twice())],
]

function twice(): Buffer {
  const list = sequence(extension(oids.basicConstraints, true, sequence()))
  const attribute = sequence(oid(oids.extensionRequest), setOf(list))
  return signedRequest({ attributes: context(0, attribute, attribute) })
}

function nameWith(value: Buffer): Buffer {
  return sequence(setOf(sequence(oid(oids.commonName), value)))
}

function ecSpki(parameters: Buffer, point: Buffer): Buffer {
  return sequence(sequence(oid(oids.ecPublicKey), parameters), bitString(point))
}

function withPoint(point: Buffer): Buffer {
  return ecSpki(oid(oids.p256), Buffer.concat([Buffer.of(4), point]))
}

function rsaSpki(modulus: number, exponent: number): Buffer {
  const key = sequence(integer(Buffer.alloc(modulus, 0x7f)), integer(Buffer.alloc(exponent, 0x7f)))
  return sequence(sequence(oid(oids.rsaEncryption), Buffer.of(5, 0)), bitString(key))
}

for (const [what, csr] of csrs) test(`a CSR with ${what} is refused`, () => refused(send(csr)))

test('a CSR with any octets changed is refused, or is the same request', async () => {
  const change = fc.record({
    at: fc.nat(good.length - 1),
    with: fc.uint8Array({ maxLength: 6 }),
    over: fc.nat(6),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
      const der = changes.reduce(
        (all, { at, with: put, over }) =>
          Buffer.concat([all.subarray(0, at), put, all.subarray(at + over)]),
        good,
      )
      const status = await answerTo(send(pemOf(der)))
      if (!der.equals(good)) assert.ok(status >= 400, `${der.toString('hex')} → ${status}`)
    }),
    { numRuns: runs(250) },
  )
})

const deep = 200_000
/** Bodies as they come over the wire. */
const bodies: readonly (readonly [string, string | Buffer])[] = [
  ['nothing', ''],
  ['no JSON', '{'],
  ['a number', '1'],
  ['null', 'null'],
  ['a list', '[]'],
  ['deep lists', '['.repeat(deep) + ']'.repeat(deep)],
  ['deep lists in a field', `{"profile":${'['.repeat(deep)}${']'.repeat(deep)}}`],
  ['deep objects', `${'{"a":'.repeat(80_000)}1${'}'.repeat(80_000)}`],
  ['a key twice', '{"profile":"server","profile":"client","dnsNames":["a.example.com"]}'],
  ['a key twice, once escaped', '{"profile":"server","prof\\u0069le":"client"}'],
  [
    'a key twice further in',
    '{"profile":"server","dnsNames":["a.example.com"],"subject":{"commonName":"a","commonName":"b"}}',
  ],
  ['__proto__', '{"profile":"server","dnsNames":["a.example.com"],"__proto__":{"csr":"x"}}'],
  ['NUL in a name', '{"profile":"client","subject":{"commonName":"a\\u0000b"}}'],
  ['half a character', '{"profile":"client","subject":{"commonName":"a\\ud800b"}}'],
  [
    'bytes that are not UTF-8',
    Buffer.from('7b2270726f66696c65223a22ff22 7d'.replace(' ', ''), 'hex'),
  ],
  ['100,000 names', JSON.stringify({ profile: 'server', dnsNames: Array(100_000).fill('a') })],
  [
    '50,000 names of a wrong type',
    JSON.stringify({ profile: 'server', dnsNames: Array(50_000).fill(1) }),
  ],
  [
    '20,000 fields that are not known',
    JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`f${i}`, i]))),
  ],
  ['a megabyte', JSON.stringify({ profile: 'x'.repeat(1_000_000) })],
  ['numbers beyond all bounds', '{"profile":"server","validityDays":1e999}'],
  [
    'days that are not whole',
    '{"profile":"server","dnsNames":["a.example.com"],"validityDays":1.5}',
  ],
]

for (const [what, body] of bodies)
  test(`a body of ${what} is refused`, () => refused({ path: certificates, body }))

test('a body of another type is refused', async () => {
  for (const type of ['text/plain', 'application/xml', 'multipart/form-data', 'x', '/']) {
    await refused({ path: certificates, body: ask(pemOf(good)), type })
  }
})

/** Every route, as the OpenAPI document tells of it. */
const routes = Object.entries(api.swagger().paths ?? {}).flatMap(([path, methods]) =>
  Object.entries(methods ?? {}).map(([method, operation]) => ({ path, method, operation })),
)

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('', 'example', 'root', 'example.com', '*.example.com', '\0', '\ud800', '../..'),
  fc.constantFrom('P1D', '2026-01-01T00:00:00Z', '10.0.0.0/8', '%00', '%', 'a'.repeat(300)),
  fc.constantFrom('0000-01-01T00:00:00Z', '2016-12-31T23:59:60Z', '9999-12-31T23:59:59-23:59'),
  fc.constantFrom('1e400', '2147483648', '-1', '99999999999999999999', 'a'.repeat(1_000)),
  fc.json({ maxDepth: 1 }).map((json) => Buffer.from(json).toString('base64url')),
  fc
    .array(fc.constantFrom('\0', 'a', '2026-01-01T00:00:00.000Z', '019a0000'), { maxLength: 3 })
    .map((key) => Buffer.from(JSON.stringify(key)).toString('base64url')),
)
const value = fc.oneof(text, fc.jsonValue({ maxDepth: 3 }), fc.array(text, { maxLength: 5 }))

test('whatever is sent to whatever route is answered, and never by 5xx', async () => {
  const methods = routes.filter(({ method }) => method !== 'head')
  assert.ok(methods.length > 20)
  for (const { path, method, operation } of methods) {
    const names = bodyFields(operation)
    const body =
      names.length === 0
        ? value
        : fc.oneof(
            { arbitrary: value, weight: 1 },
            {
              arbitrary: fc.record(Object.fromEntries(names.map((name) => [name, value])), {
                requiredKeys: [],
              }),
              weight: 4,
            },
          )
    const parts = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
    await fc.assert(
      fc.asyncProperty(
        fc.record(Object.fromEntries(parts.map((name) => [name, text]))),
        fc.dictionary(
          fc.constantFrom('limit', 'cursor', 'status', 'dnsName', 'from', 'to', 'serial', 'x'),
          text,
          {
            maxKeys: 3,
          },
        ),
        body,
        async (params, query, json) => {
          const target = path.replace(/\{(\w+)\}/g, (_, name: string) =>
            encodeURIComponent(String(params[name]).toWellFormed()),
          )
          const search = new URLSearchParams(query).toString()
          await answerTo({
            method: method.toUpperCase(),
            path: `${target}${search === '' ? '' : `?${search}`}`,
            ...(['post', 'put', 'patch'].includes(method) ? { body: JSON.stringify(json) } : {}),
          })
        },
      ),
      { numRuns: runs(12) },
    )
  }
})

/** Requests that are in order, to be spoilt in one place. */
const inOrder: readonly (readonly [string, string, Readonly<Record<string, unknown>>])[] = [
  ['POST', '/v1/tenants', { name: 'made', displayName: 'Made', domains: ['made.test'] }],
  ['PATCH', '/v1/tenants/example', { displayName: 'Example', policy: { ipRanges: ['::/0'] } }],
  ['POST', '/v1/tenants/example/api-keys', { name: 'made', role: 'viewer' }],
  [
    'POST',
    '/v1/authorities',
    {
      name: 'made',
      kind: 'root',
      subject: { commonName: 'Made', country: 'DE' },
      nameConstraints: { permitted: { dnsNames: ['made.test'], ipRanges: ['10.0.0.0/8'] } },
      pathLength: 1,
    },
  ],
  [
    'POST',
    certificates,
    {
      profile: 'peer',
      subject: { commonName: 'a.example.com', organization: 'Example' },
      dnsNames: ['a.example.com'],
      emailAddresses: ['a@example.com'],
      uris: ['spiffe://example.com/a'],
      validityDays: 1,
    },
  ],
  [
    'PUT',
    '/v1/tenants/example/hosts/a.example.com',
    {
      tls: { mode: 'SIMPLE' },
      http: 'off',
      routes: [{ match: { prefix: '/' }, to: { service: 'a', namespace: 'test', port: 80 } }],
      clusters: [],
    },
  ],
  ['POST', '/v1/blocked-keys', { spkiSha256: 'a'.repeat(64), reason: 'x' }],
  [
    'POST',
    '/v1/clusters',
    {
      name: 'made',
      kubeconfig: 'apiVersion: v1',
      ingress: { namespace: 'istio-system', selector: { istio: 'x' }, address: '127.0.0.1:1' },
    },
  ],
]

for (const [method, path, body] of inOrder)
  test(`${method} ${path} with one thing spoilt is answered`, async () => {
    const places = placesIn(body)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), value, async (place, put) => {
        await answerTo({ method, path, body: JSON.stringify(withPut(body, place, put)) })
      }),
      { numRuns: runs(40) },
    )
  })

type Place = readonly string[]

function placesIn(node: unknown, at: Place = []): readonly Place[] {
  const inside = typeof node === 'object' && node !== null ? Object.entries(node) : []
  return [at, ...inside.flatMap(([key, each]) => placesIn(each, [...at, key]))]
}

function withPut(node: unknown, [first, ...rest]: Place, put: unknown): unknown {
  if (first === undefined) return put
  if (Array.isArray(node)) {
    return node.map((each, i) => (String(i) === first ? withPut(each, rest, put) : each))
  }
  const fields = Object.entries(typeof node === 'object' && node !== null ? node : {})
  return Object.fromEntries(
    fields.map(([key, each]) => [key, key === first ? withPut(each, rest, put) : each]),
  )
}

function bodyFields(operation: unknown): readonly string[] {
  const has = typeof operation === 'object' && operation !== null && 'requestBody' in operation
  return has ? propertiesIn(operation.requestBody) : []
}

function propertiesIn(node: unknown): readonly string[] {
  if (typeof node !== 'object' || node === null) return []
  if ('properties' in node && typeof node.properties === 'object' && node.properties !== null) {
    return Object.keys(node.properties)
  }
  return Object.values(node).flatMap(propertiesIn)
}

/** Requests that no HTTP library sends. */
const raw: readonly (readonly [string, string])[] = [
  ['a path with a broken escape', 'GET /v1/%zz HTTP/1.1\r\nhost: x\r\n\r\n'],
  ['a path of 60,000 characters', `GET /${'a'.repeat(60_000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
  [
    'a header of 60,000 characters',
    `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(60_000)}\r\n\r\n`,
  ],
  ['a method nobody knows', 'BREW / HTTP/1.1\r\nhost: x\r\n\r\n'],
  ['no HTTP', '\u0016\u0003\u0001\r\n\r\n'],
  [
    'two lengths',
    'POST /v1/tenants HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}',
  ],
]

for (const [what, request] of raw)
  test(`${what} is answered by a problem`, async () => {
    const { head } = await rawAnswer(url, request)
    assert.match(head, /^HTTP\/1\.1 4\d\d /)
    assert.match(head, /content-type: application\/problem\+json/i)
  })

test('after all this the service answers, and has not grown', async () => {
  // What was sent may have removed the tenant, or have changed it.
  await createAuthority(ctx, admin, { name: 'last', kind: 'root', subject: { commonName: 'L' } })
  const tenant = { name: 'last', domains: ['last.test'], defaultAuthority: 'last' }
  await createTenant(ctx, admin, tenant)
  const body = JSON.stringify({ profile: 'server', dnsNames: ['a.last.test'] })
  assert.equal(await answerTo({ path: '/v1/tenants/last/certificates', body }), 201)
  assert.ok(process.memoryUsage().rss < 1_500_000_000)
})

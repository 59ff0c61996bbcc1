import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import type Type from 'typebox'
import { Authority } from '../../src/authorities/authority.ts'
import { BlockedKey } from '../../src/authorities/keys/blockedkey.ts'
import { Certificate } from '../../src/certificates/certificate.ts'
import { certifyHost } from '../../src/certificates/hosts/certify.ts'
import { Cluster } from '../../src/clusters/cluster.ts'
import { bytes, sql } from '../../src/core/database/db.ts'
import { Host } from '../../src/hosts/host.ts'
import { ApiKey } from '../../src/tenants/apikeys/schema.ts'
import { Tenant } from '../../src/tenants/tenant.ts'
import { toBeSigned } from '../../src/x509/certificates/template.ts'
import { sequence, setOf, tlv } from '../../src/x509/der/encoding.ts'
import { oid } from '../../src/x509/der/oids.ts'
import { readPem, toPem } from '../../src/x509/der/pem.ts'
import { keyIdentifier, spkiOf } from '../../src/x509/keys/public.ts'
import { assemble, keySigner } from '../../src/x509/keys/sign.ts'
import { noAltNames } from '../../src/x509/names/altnames.ts'
import { openTestApi } from '../support/api.ts'
import { deadKubeconfig } from '../support/kubeconfig.ts'
import { createRequest } from '../support/request.ts'

// What is accepted is read back by GET, by its list and by GraphQL; what is refused is not stored.

const { ctx, http } = await openTestApi()
const subject = { commonName: 'house' }
await http.post('/v1/authorities').send({ name: 'house', kind: 'root', subject }).expect(201)
const own = { domains: ['a.test'], namespaces: ['web'], defaultAuthority: 'house' }
await http
  .post('/v1/tenants')
  .send({ name: 'shop', ...own })
  .expect(201)
const kubeconfig = deadKubeconfig('a-token')
const ingress = { address: '127.0.0.1:1' }
await http.post('/v1/clusters').send({ name: 'one', kubeconfig, ingress }).expect(201)

const ajv = new Ajv({ strict: false, allErrors: true })
addFormats.default(ajv)

/** Holds an answer to the shape that the contract promises. */
function conforms(schema: Type.TSchema, answer: unknown): void {
  const validate = ajv.compile(schema)
  assert.ok(validate(answer), `${ajv.errorsText(validate.errors)}: ${JSON.stringify(answer)}`)
}

async function ask(query: string) {
  const { body } = await http.post('/graphql').send({ query }).expect(200)
  assert.equal(body.errors, undefined, JSON.stringify(body.errors))
  return body.data
}

/** All items of a list, page by page. */
async function listed(path: string): Promise<Record<string, unknown>[]> {
  const items: Record<string, unknown>[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query: Record<string, string> = { limit: '100', ...(cursor === '' ? {} : { cursor }) }
    const { body } = await http.get(path).query(query).expect(200)
    items.push(...body.items)
    cursor = body.nextCursor
  }
  return items
}

let made = 0
const unique = () => `n${made++}`

type Sent = {
  readonly method?: 'post' | 'put' | 'patch'
  readonly url: string
  readonly body: object
}
type Read = {
  readonly schema: Type.TSchema
  readonly url: (body: object) => string
  readonly list: string
}

/** Sends a request, and holds both ends to the promise; answers whether it was accepted. */
async function roundTrip({ method = 'post', url, body }: Sent, read: Read): Promise<boolean> {
  const answer = await http[method](url).send(body)
  assert.ok(answer.status < 500, `${answer.status}: ${JSON.stringify(body)}`)
  const items = await listed(read.list)
  if (answer.status >= 300) return false
  conforms(read.schema, answer.body)
  const again = await http.get(read.url(answer.body)).expect(200)
  conforms(read.schema, again.body)
  assert.deepEqual(again.body, answer.body)
  assert.ok(
    items.some((item) => isDeepStrictEqual(again.body, { ...again.body, ...item })),
    `it is not in ${read.list}`,
  )
  return true
}

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

type Attribute = { readonly type: string; readonly tag: number; readonly text: Buffer }

function nameDer(rdns: readonly (readonly Attribute[])[]): Buffer {
  return sequence(
    ...rdns.map((attributes) =>
      setOf(...attributes.map(({ type, tag, text }) => sequence(oid(type), tlv(tag, text)))),
    ),
  )
}

/** A CA of somewhere else, with any subject, end and path length. */
async function foreignCa(name: Buffer, notAfter: Date, pathLength?: number): Promise<string> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = keySigner(privateKey)
  const spki = spkiOf(privateKey)
  const tbs = toBeSigned({
    serial: (made++).toString(16).padStart(32, '1'),
    subject: name,
    issuer: name,
    spki,
    validity: { notBefore: new Date('1969-07-20T20:17:40Z'), notAfter },
    altNames: noAltNames,
    profile: 'root',
    ...(pathLength === undefined ? {} : { pathLength }),
    subjectKeyIdentifier: keyIdentifier(spki),
    signerAlgorithm: signer.algorithm,
  })
  return toPem('CERTIFICATE', assemble(tbs, signer.algorithm, await signer.sign(tbs)))
}

const authorityOf: Read = {
  schema: Authority,
  url: (body) => `/v1/authorities/${'name' in body ? body.name : ''}`,
  list: '/v1/authorities',
}

const utf8 = 0x0c
const strange: Readonly<Record<string, Buffer>> = {
  'a country in lower case': nameDer([[{ type: '2.5.4.6', tag: 0x13, text: Buffer.from('de') }]]),
  'a common name of 65 characters': nameDer([
    [{ type: '2.5.4.3', tag: utf8, text: Buffer.from('x'.repeat(65)) }],
  ]),
  'a common name of 3,000 characters': nameDer([
    [{ type: '2.5.4.3', tag: utf8, text: Buffer.from('x'.repeat(3000)) }],
  ]),
  'an empty organization': nameDer([
    [{ type: '2.5.4.3', tag: utf8, text: Buffer.from('CA') }],
    [{ type: '2.5.4.10', tag: utf8, text: Buffer.alloc(0) }],
  ]),
  'two attributes in one RDN, one of an unknown type': nameDer([
    [
      { type: '2.5.4.3', tag: utf8, text: Buffer.from('CA') },
      { type: '1.3.6.1.4.1.99999.1', tag: utf8, text: Buffer.from('?') },
    ],
  ]),
  'a BMPString': nameDer([[{ type: '2.5.4.3', tag: 0x1e, text: Buffer.from('\0C\0A') }]]),
  'a T61String': nameDer([[{ type: '2.5.4.3', tag: 0x14, text: Buffer.from('C\xc4', 'latin1') }]]),
  'NUL in a name': nameDer([[{ type: '2.5.4.3', tag: utf8, text: Buffer.from('a\0b') }]]),
  'half a character': nameDer([[{ type: '2.5.4.3', tag: 0x1e, text: Buffer.from([0xd8, 0]) }]]),
  'two common names': nameDer([
    [{ type: '2.5.4.3', tag: utf8, text: Buffer.from('one') }],
    [{ type: '2.5.4.3', tag: utf8, text: Buffer.from('two') }],
  ]),
}

for (const [what, name] of Object.entries(strange)) {
  test(`an imported CA with ${what} is stored and shown, or refused and not stored`, async () => {
    const certificate = await foreignCa(name, new Date('2049-12-31T23:59:59Z'))
    const body = { name: unique(), certificate }
    const accepted = await roundTrip({ url: '/v1/authorities/import', body }, authorityOf)
    const shown = await ask('{ authorities(first: 500) { items { name subject { commonName } } } }')
    const found = shown.authorities.items.some((item: { name: string }) => item.name === body.name)
    assert.equal(found, accepted)
    if (accepted) await http.delete(`/v1/authorities/${body.name}`).expect(204)
  })
}

test('CAs of any subject and end are shown as they are, or refused', async () => {
  const attribute = fc.record({
    type: fc.constantFrom('2.5.4.3', '2.5.4.6', '2.5.4.10', '2.5.4.7', '2.5.4.5', '1.2.3.4'),
    tag: fc.constantFrom(0x0c, 0x13, 0x14, 0x16, 0x1e),
    text: fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 20 }).map((octets) => Buffer.from(octets)),
      fc.constantFrom('de', 'DE', '', 'x'.repeat(129)).map((text) => Buffer.from(text)),
    ),
  })
  const name = fc.array(fc.array(attribute, { minLength: 1, maxLength: 2 }), { maxLength: 4 })
  const end = fc.date({
    min: new Date('2027-01-01'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  })
  await fc.assert(
    fc.asyncProperty(name, end, async (rdns, notAfter) => {
      const whole = new Date(Math.floor(notAfter.getTime() / 1000) * 1000)
      const certificate = await foreignCa(nameDer(rdns), whole)
      const body = { name: unique(), certificate }
      await roundTrip({ url: '/v1/authorities/import', body }, authorityOf)
    }),
    { numRuns: 40 },
  )
  await ask(
    '{ authorities(first: 500) { items { name notAfter subject { commonName country } } } }',
  )
})

const moments = [
  '9999-12-31T23:59:59-23:59',
  '9999-12-31T23:59:59Z',
  '2999-02-28T23:59:59.999999999+14:00',
  '10000-01-01T00:00:00Z',
]

for (const expiresAt of moments) {
  test(`an API key until ${expiresAt} is listed, or was never made`, async () => {
    const answer = await http
      .post('/v1/api-keys')
      .send({ name: unique(), role: 'viewer', expiresAt })
    assert.ok(answer.status < 500)
    for (const item of await listed('/v1/api-keys')) conforms(ApiKey, item)
  })
}

test('an API key that an older release let in with an end in the year 10098 is listed', async () => {
  await ctx.db.read.$executeRaw(sql`
    insert into api_key ("id", "name", "role", "tokenHash", "createdAt", "expiresAt")
    values (gen_random_uuid(), 'odd', 'viewer', '\\x00', now(), timestamptz '9999-12-31' + interval '99 years')`)
  const found = (await listed('/v1/api-keys')).find(({ name }) => name === 'odd')
  assert.equal(found?.expiresAt, '9999-12-31T23:59:59.999Z')
})

test('words that this release does not know are shown, by REST and by GraphQL', async () => {
  await http
    .post('/v1/tenants')
    .send({ name: 'later', domains: ['later.test'] })
    .expect(201)
  const policy = { keyAlgorithms: ['ML_DSA_65'], profiles: ['code'], future: { a: 1 } }
  await ctx.db.read.tenant.update({ where: { name: 'later' }, data: { policy } })
  const { body } = await http.get('/v1/tenants/later').expect(200)
  assert.deepEqual(body.policy, policy)
  const { tenants } = await ask('{ tenants { items { name policy { profiles keyAlgorithms } } } }')
  const later = tenants.items.find((item: { name: string }) => item.name === 'later')
  assert.deepEqual(later.policy, { profiles: ['code'], keyAlgorithms: ['ML_DSA_65'] })
})

const text = fc.string({ unit: 'binary', maxLength: 220 })
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })

test('every tenant that is accepted is read back', async () => {
  const body = fc.record({
    displayName: maybe(text),
    domains: fc.array(fc.oneof(fc.domain(), text), { maxLength: 3 }),
    namespaces: maybe(fc.array(fc.constantFrom('a', 'b-1', 'x'.repeat(63)), { maxLength: 3 })),
    policy: maybe(
      fc.record({
        maxValidityDays: maybe(fc.integer({ min: 0, max: 4000 })),
        ipRanges: maybe(fc.array(fc.oneof(fc.constant('10.0.0.1/8'), text), { maxLength: 2 })),
        wildcards: maybe(fc.boolean()),
      }),
    ),
  })
  const read: Read = {
    schema: Tenant,
    url: (tenant) => `/v1/tenants/${'name' in tenant ? tenant.name : ''}`,
    list: '/v1/tenants',
  }
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(body, async (asked) => {
      if (await roundTrip({ url: '/v1/tenants', body: { name: unique(), ...asked } }, read))
        accepted++
    }),
    { numRuns: 40 },
  )
  assert.ok(accepted > 0, 'none was accepted')
  await ask('{ tenants(first: 500) { items { name displayName domains policy { wildcards } } } }')
})

test('every cluster, host and blocked key that is accepted is read back', async () => {
  const clusterOf: Read = {
    schema: Cluster,
    url: (body) => `/v1/clusters/${'name' in body ? body.name : ''}`,
    list: '/v1/clusters',
  }
  const hostOf: Read = {
    schema: Host,
    url: (body) => `/v1/tenants/shop/hosts/${'name' in body ? body.name : ''}`,
    list: '/v1/tenants/shop/hosts',
  }
  const blockedOf: Read = {
    schema: BlockedKey,
    url: (body) => `/v1/blocked-keys/${'spkiSha256' in body ? body.spkiSha256 : ''}`,
    list: '/v1/blocked-keys',
  }
  const labels = fc.dictionary(fc.oneof(fc.constant('istio'), text), text, { maxKeys: 2 })
  const path = fc.oneof(
    fc.webPath(),
    text.map((each) => `/${each}`),
  )
  await fc.assert(
    fc.asyncProperty(labels, path, text, fc.boolean(), async (selector, exact, reason, deep) => {
      const cluster = { name: unique(), kubeconfig, ingress: { ...ingress, selector } }
      await roundTrip({ url: '/v1/clusters', body: cluster }, clusterOf)
      const host = deep ? `${unique()}.deep.a.test` : `${unique()}.a.test`
      const to = { service: 'web', namespace: 'web', port: 80 }
      const body = { routes: [{ match: { exact }, to }, { to }], clusters: ['one'] }
      const url = `/v1/tenants/shop/hosts/${host}`
      await roundTrip({ method: 'put', url, body }, hostOf)
      const spkiSha256 = Buffer.from(unique().padStart(32, '0')).toString('hex')
      const answer = await http.post('/v1/blocked-keys').send({ spkiSha256, reason })
      assert.ok(answer.status < 500)
      for (const item of await listed(blockedOf.list)) conforms(BlockedKey, item)
    }),
    { numRuns: 25 },
  )
  await ask(
    '{ hosts(tenant: "shop", first: 500) { items { name spec { routes { match { exact } } } } } }',
  )
  await ask('{ clusters(first: 500) { items { name ingress { namespace } } } }')
  for (const event of await listed('/v1/audit-events')) assert.ok(event.action)
})

test('every certificate that is accepted is read back, whatever its CSR calls itself', async () => {
  const certificateOf: Read = {
    schema: Certificate,
    url: (body) => `/v1/tenants/shop/certificates/${'id' in body ? body.id : ''}`,
    list: '/v1/tenants/shop/certificates',
  }
  const word = fc.oneof(fc.constantFrom('de', 'DE', 'laptop'), fc.string({ maxLength: 70 }))
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(word, word, word, async (commonName, country, organization) => {
      const csr = await createRequest({
        subject: nameDer([
          [{ type: '2.5.4.3', tag: utf8, text: Buffer.from(commonName) }],
          [{ type: '2.5.4.6', tag: 0x13, text: Buffer.from(country) }],
          [{ type: '2.5.4.10', tag: utf8, text: Buffer.from(organization) }],
        ]),
        spki: spkiOf(key),
        altNames: noAltNames,
        signer: keySigner(key),
      })
      const body = {
        profile: 'client',
        dnsNames: ['a.test'],
        csr: toPem('CERTIFICATE REQUEST', csr),
      }
      const url = '/v1/tenants/shop/certificates'
      if (await roundTrip({ url, body }, certificateOf)) accepted++
      const plain = { profile: 'client', dnsNames: ['a.test'], subject: { organization } }
      if (await roundTrip({ url, body: plain }, certificateOf)) accepted++
    }),
    { numRuns: 20 },
  )
  assert.ok(accepted > 0, 'none was accepted')
  await ask(
    '{ certificates(tenant: "shop", first: 100) { items { id subject { country commonName } profile } } }',
  )
})

const to = { service: 'web', namespace: 'web', port: 80 }
const wanted = { routes: [{ to }], clusters: ['one'] }
const oddSpecs: readonly unknown[] = [
  null,
  5,
  [],
  {},
  { tls: null, http: 1, certificate: 'x', routes: 'x', clusters: null },
  { tls: { mode: 'QUIC' }, routes: [{ match: null, to: null }, 5], clusters: [null] },
  { certificate: { validityDays: 1.5, keyAlgorithm: 'ML_DSA_65' }, future: { a: 1 } },
]

for (const [index, spec] of oddSpecs.entries()) {
  test(`a host stored as ${JSON.stringify(spec)} keeps nobody from the others`, async () => {
    const domain = `odd${index}.a.test`
    const odd = `/v1/tenants/shop/hosts/x.${domain}`
    await http.put(odd).send(wanted).expect(201)
    await ctx.db.read.$executeRaw(sql`
      update host set "spec" = ${JSON.stringify(spec)}::jsonb where "name" = ${`x.${domain}`}`)
    await http.put(`/v1/tenants/shop/hosts/*.${domain}`).send(wanted).expect(201)
    await http.get('/v1/tenants/shop/hosts?limit=500').expect(200)
    await http.get(odd).expect(200)
    const { hosts } = await ask(`{ hosts(tenant: "shop", first: 100) { items { name warnings
      spec { http tls { mode } clusters certificate { authority validityDays keyAlgorithm }
        routes { match { port } to { service port } } } } } }`)
    assert.ok(hosts.items.some(({ name }: { name: string }) => name === `x.${domain}`))
    const probed = await http.post(`${odd}/probe`).send().expect(422)
    assert.match(probed.body.type, /host-refused/)
    const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: `x.${domain}` } })
    await certifyHost(ctx, id)
    const [placement] = (await http.get(odd).expect(200)).body.status.clusters
    assert.match(placement.message, /ask for it anew/)
    await http.put(odd).send(wanted).expect(200)
    await http.get(odd).expect(200)
  })
}

test('what only another release knows of a host does not keep it from being served', async () => {
  const url = '/v1/tenants/shop/hosts/later.a.test'
  await http.put(url).send(wanted).expect(201)
  await ctx.db.read.$executeRaw(sql`
    update host set "spec" = "spec" || '{"future":1}' where "name" = 'later.a.test'`)
  assert.equal((await http.get(url).expect(200)).body.future, 1)
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'later.a.test' } })
  await certifyHost(ctx, id)
  assert.ok((await http.get(url).expect(200)).body.status.certificate)
})

test('a cluster is removed by force, whatever is stored of the hosts on it', async () => {
  await http.post('/v1/clusters').send({ name: 'lost', kubeconfig, ingress }).expect(201)
  const url = '/v1/tenants/shop/hosts/lost.a.test'
  await http
    .put(url)
    .send({ ...wanted, clusters: ['lost'] })
    .expect(201)
  await ctx.db.read.$executeRaw(
    sql`update placement set "objects" = '5' where "name" = 'lost.a.test'`,
  )
  await ctx.db.read.$executeRaw(sql`update host set "spec" = '{}' where "name" = 'lost.a.test'`)
  await http.delete('/v1/clusters/lost?force=true').expect(204)
  assert.deepEqual((await http.get(url).expect(200)).body.clusters, [])
})

const oddPolicies: readonly (readonly [unknown, number])[] = [
  [null, 422],
  [{ profiles: 'server' }, 422],
  [{ maxValidityDays: { server: 90 } }, 422],
  [{ renewBefore: { days: 1.5 } }, 422],
  [{ keyAlgorithms: ['ML_DSA_65'] }, 422],
  [{ profiles: ['code'] }, 422],
  [{ profiles: ['code', 'client'], keyAlgorithms: ['ML_DSA_65', 'ECDSA_P256'] }, 201],
  [{ future: { a: 1 } }, 201],
]

for (const [policy, status] of oddPolicies) {
  test(`a tenant stored with ${JSON.stringify(policy)} is shown, and certified by what is known`, async () => {
    const name = unique()
    await http
      .post('/v1/tenants')
      .send({ name, ...own, domains: [`${name}.test`] })
      .expect(201)
    await ctx.db.read.$executeRaw(sql`
      update tenant set "policy" = ${JSON.stringify(policy)}::jsonb,
        "quotas" = ${JSON.stringify(policy)}::jsonb where "name" = ${name}`)
    await http.get(`/v1/tenants/${name}`).expect(200)
    await http.get('/v1/tenants?limit=500').expect(200)
    await ask('{ tenants(first: 500) { items { name policy { profiles } quotas { hosts } } } }')
    const order = { profile: 'client', dnsNames: [`${name}.test`] }
    await http.post(`/v1/tenants/${name}/certificates`).send(order).expect(status)
    const host = await http.put(`/v1/tenants/${name}/hosts/h.${name}.test`).send(wanted)
    assert.ok(host.status < 500)
    await http.patch(`/v1/tenants/${name}`).send({ policy: {} }).expect(200)
    await http.post(`/v1/tenants/${name}/certificates`).send(order).expect(201)
  })
}

test('a path length beyond 32 bits is shown as the greatest that GraphQL has', async () => {
  const name = nameDer([[{ type: '2.5.4.3', tag: utf8, text: Buffer.from('deep') }]])
  const end = new Date('2049-12-31T23:59:59Z')
  const certificate = await foreignCa(name, end, 1)
  await http.post('/v1/authorities/import').send({ name: 'deep', certificate }).expect(201)
  // As an older release let it in.
  const [der = Buffer.alloc(0)] = readPem(await foreignCa(name, end, 2 ** 31), 'CERTIFICATE')
  const where = { authority: { name: 'deep' } }
  await ctx.db.read.issuer.updateMany({ where, data: { der: bytes(der) } })
  assert.equal((await http.get('/v1/authorities/deep').expect(200)).body.pathLength, 2 ** 31)
  const { authority } = await ask('{ authority(name: "deep") { pathLength } }')
  assert.equal(authority.pathLength, 2 ** 31 - 1)
})

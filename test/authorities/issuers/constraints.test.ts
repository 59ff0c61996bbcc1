import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { importAuthority } from '../../../src/authorities/import.ts'
import { trustAnchorOf } from '../../../src/authorities/issuers/current.ts'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { toPem } from '../../../src/x509/der/pem.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'

const ctx = await openTestContext()
const root = await createAuthority(ctx, admin, {
  name: 'bound-root',
  kind: 'root',
  subject: { commonName: 'Bound root' },
  pathLength: 2,
  nameConstraints: {
    permitted: { dnsNames: ['example.com'], ipRanges: ['10.0.0.0/8'] },
    excluded: { dnsNames: ['secret.example.com'], uriHosts: ['evil.example.com'] },
  },
})
const issuing = await createAuthority(ctx, admin, {
  name: 'bound-issuing',
  kind: 'intermediate',
  parent: 'bound-root',
  subject: { commonName: 'Bound issuing' },
  nameConstraints: {
    permitted: { dnsNames: ['a.example.com', 'b.example.com'] },
    excluded: { emailAddresses: ['root@a.example.com'] },
  },
})
await createTenant(ctx, admin, {
  name: 'bound',
  domains: ['example.com', 'other.test'],
  defaultAuthority: 'bound-issuing',
  policy: { ipRanges: ['0.0.0.0/0', '::/0'] },
})

const issue = (asked: NewCertificate) =>
  issueCertificate(ctx, admin, { tenant: 'bound', request: asked, idempotencyKey: undefined })

test('a CA says what it is held to, its own and what it inherits', () => {
  assert.equal(issuing.pathLength, 0)
  assert.equal(root.pathLength, 2)
  assert.deepEqual(issuing.nameConstraints, {
    permitted: { dnsNames: ['a.example.com', 'b.example.com'], ipRanges: ['10.0.0.0/8'] },
    excluded: {
      dnsNames: ['secret.example.com'],
      emailAddresses: ['root@a.example.com'],
      uriHosts: ['evil.example.com'],
    },
  })
  const text = openssl(['x509', '-in', 'sub.pem', '-noout', '-text'], { 'sub.pem': issuing.pem })
  assert.match(text, /Name Constraints: critical/)
  assert.match(text, /CA:TRUE, pathlen:0/)
})

test('the anchor of an intermediate is held to the same', async () => {
  const [anchor = Buffer.alloc(0)] = await trustAnchorOf(ctx.db.read, 'bound-issuing')
  const twin = readCertificate(anchor)
  const [der = Buffer.alloc(0)] = [Buffer.from(pemBody(issuing.pem), 'base64')]
  assert.deepEqual(twin.nameConstraints, readCertificate(der).nameConstraints)
  assert.equal(twin.pathLength, 0)
})

/** What is asked, and the fields that stand against it. */
const rows: readonly (readonly [string, NewCertificate, readonly string[]])[] = [
  ['a name below what is permitted', { profile: 'server', dnsNames: ['x.a.example.com'] }, []],
  ['a wildcard there', { profile: 'server', dnsNames: ['*.b.example.com'] }, []],
  ['an address', { profile: 'server', ipAddresses: ['10.1.2.3'] }, []],
  [
    'a client by its mail',
    { profile: 'client', emailAddresses: ['me@a.example.com'], subject: { commonName: 'Me' } },
    [],
  ],
  [
    'names outside, of all kinds at once',
    {
      profile: 'peer',
      dnsNames: ['x.a.example.com', 'c.example.com', 'x.other.test'],
      ipAddresses: ['10.0.0.1', '192.168.0.1', 'fd00::1'],
      emailAddresses: ['root@a.example.com'],
      uris: ['https://evil.example.com/'],
    },
    ['/dnsNames/1', '/dnsNames/2', '/ipAddresses/1', '/ipAddresses/2', '/emailAddresses/0'].concat([
      '/uris/0',
    ]),
  ],
  [
    'a commonName that reads as a host',
    { profile: 'client', subject: { commonName: 'c.example.com' } },
    ['/subject/commonName'],
  ],
]

for (const [what, asked, fields] of rows)
  test(`${what} is ${fields.length === 0 ? 'issued, and openssl agrees' : 'refused'}`, async () => {
    if (fields.length > 0) {
      assert.deepEqual(await fieldsOf('certificate-refused', issue(asked)), fields)
      return
    }
    const made = await issue(asked)
    const [anchor = Buffer.alloc(0)] = await trustAnchorOf(ctx.db.read, 'bound-issuing')
    const files = {
      'root.pem': root.pem,
      'chain.pem': made.chainPem,
      'leaf.pem': made.pem ?? '',
      'anchor.pem': toPem('CERTIFICATE', anchor),
    }
    const strictly = ['verify', '-x509_strict', '-CAfile']
    openssl([...strictly, 'root.pem', '-untrusted', 'chain.pem', 'leaf.pem'], files)
    openssl([...strictly, 'anchor.pem', 'leaf.pem'], files)
  })

test('an authority below never reaches further than the one above', async () => {
  const below = (over: object) =>
    createAuthority(ctx, admin, {
      name: 'below',
      kind: 'intermediate',
      parent: 'bound-root',
      subject: { commonName: 'Below' },
      ...over,
    })
  const permitted = { dnsNames: ['a.example.com', 'example.org'], ipRanges: ['0.0.0.0/0'] }
  const cases: readonly (readonly [object, readonly string[]])[] = [
    [
      { nameConstraints: { permitted } },
      ['/nameConstraints/permitted/dnsNames/1', '/nameConstraints/permitted/ipRanges/0'],
    ],
    [
      { nameConstraints: { excluded: { ipRanges: ['10.0.0.1/8'] } } },
      ['/nameConstraints/excluded/ipRanges/0'],
    ],
    [{ nameConstraints: {} }, ['/nameConstraints']],
    [{ pathLength: 2 }, ['/pathLength']],
    [{ parent: 'bound-issuing' }, ['/parent']],
  ]
  for (const [over, fields] of cases) {
    assert.deepEqual(await fieldsOf('authority-refused', below(over)), fields)
  }
})

test('an imported CA’s constraints count, also those of the ones above it', async () => {
  const top = opensslAuthority('Foreign root', {
    nameConstraints: 'permitted;DNS:example.com,excluded;DNS:no.example.com',
  })
  const middle = opensslAuthority('Foreign middle', {
    nameConstraints: 'permitted;DNS:a.example.com,permitted;DNS:b.example.org',
    issuer: top,
  })
  await importAuthority(ctx, admin, { name: 'foreign-root', certificate: top.pem })
  const imported = await importAuthority(ctx, admin, {
    name: 'foreign',
    certificate: middle.pem,
    privateKey: middle.key,
  })
  assert.deepEqual(imported.nameConstraints, {
    permitted: { dnsNames: ['a.example.com', 'b.example.org'] },
  })
  const from = (name: string): NewCertificate => ({
    profile: 'server',
    dnsNames: [name],
    authority: 'foreign',
  })
  await issue(from('x.a.example.com'))
  for (const name of ['b.example.com', 'no.example.com']) {
    assert.deepEqual(
      (await fieldsOf('certificate-refused', issue(from(name)))).at(0),
      '/dnsNames/0',
    )
  }
  const [anchor = Buffer.alloc(0)] = await trustAnchorOf(ctx.db.read, 'foreign')
  const held = readCertificate(anchor).nameConstraints
  assert.deepEqual(held?.permitted.dnsNames, ['a.example.com'])
  assert.deepEqual(held?.excluded.dnsNames, ['no.example.com'])
  const apart = opensslAuthority('Apart', {
    nameConstraints: 'permitted;DNS:example.org',
    issuer: top,
  })
  const asked = { name: 'apart', certificate: apart.pem, privateKey: apart.key }
  await assert.rejects(importAuthority(ctx, admin, asked), isProblem('authority-refused'))
})

type Foreign = { readonly pem: string; readonly key: string }

function opensslAuthority(
  commonName: string,
  { nameConstraints, issuer }: { nameConstraints: string; issuer?: Foreign },
): Foreign {
  const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const extensions = `[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nnameConstraints=critical,${nameConstraints}\n`
  const csr = openssl(['req', '-new', '-key', 'k.pem', '-subj', `/CN=${commonName}`], {
    'k.pem': key,
  })
  const files = { 'k.pem': key, 'r.pem': csr, 'e.cnf': extensions }
  const common = [
    'x509',
    '-req',
    '-in',
    'r.pem',
    '-days',
    issuer ? '20' : '30',
    '-extfile',
    'e.cnf',
  ]
  const pem = issuer
    ? openssl([...common, '-extensions', 'ca', '-CA', 'ca.pem', '-CAkey', 'ca.key'], {
        ...files,
        'ca.pem': issuer.pem,
        'ca.key': issuer.key,
      })
    : openssl([...common, '-extensions', 'ca', '-signkey', 'k.pem'], files)
  return { pem, key }
}

function pemBody(pem: string): string {
  return pem.replace(/-----[^-]+-----|\s/g, '')
}

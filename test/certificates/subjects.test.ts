import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { recordMismatches } from '../../src/certificates/audit/mismatches.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { renewCertificate } from '../../src/certificates/renewal/renew.ts'
import type { FurtherAttribute, Policy } from '../../src/tenants/tenant.ts'
import { changeTenant } from '../../src/tenants/write.ts'
import { openTestAuthority } from '../authorities/support.ts'
import { admin, openTestContext } from '../support/context.ts'
import { fieldsOf } from '../support/problem.ts'
import { put, run, scratch } from '../x509/support.ts'

// Subjects with more than the common attributes, by policy: others read them as they were asked for.

const ctx = await openTestContext()
await openTestAuthority(ctx)
const folder = scratch()

const every: FurtherAttribute[] = [
  ...(['organizationalUnits', 'domainComponents', 'street', 'title'] as const),
  ...(['givenName', 'surname', 'userId', 'serialNumber'] as const),
]

const setPolicy = (policy: Policy) =>
  changeTenant(ctx, admin, { name: 'example', patch: { policy } })

const issued = (request: object) =>
  issueCertificate(ctx, admin, {
    ...{ tenant: 'example', idempotencyKey: undefined },
    request: { profile: 'client', dnsNames: ['jd.example.com'], ...request },
  })

const subject = {
  domainComponents: ['com', 'example', 'corp'],
  ...{ country: 'DE', street: 'Hauptstraße 1, Hof', organization: 'Shop' },
  organizationalUnits: ['Ober', 'Unter', 'Mitte'],
  ...{ title: 'Dr.', givenName: 'Jürgen', surname: 'Döring', userId: 'jd+1', serialNumber: 'A-7' },
}
const answered = { ...subject, organizationalUnit: 'Ober' }

/** As openssl reads it: the order of the encoding, with string types. */
const byOpenssl = [
  'DC=IA5STRING:com',
  'DC=IA5STRING:example',
  'DC=IA5STRING:corp',
  'C=PRINTABLESTRING:DE',
  'street=UTF8STRING:Hauptstraße 1\\, Hof',
  'O=UTF8STRING:Shop',
  'OU=UTF8STRING:Ober',
  'OU=UTF8STRING:Unter',
  'OU=UTF8STRING:Mitte',
  'title=UTF8STRING:Dr.',
  'GN=UTF8STRING:Jürgen',
  'SN=UTF8STRING:Döring',
  'UID=UTF8STRING:jd\\+1',
  'serialNumber=PRINTABLESTRING:A-7',
]

function readByOpenssl(pem: string): readonly string[] {
  const shown = ['-nameopt', 'sep_multiline,show_type,esc_2253,utf8,sname']
  const { out } = run('openssl', ['x509', '-noout', '-subject', ...shown], Buffer.from(pem))
  return out
    .toString()
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
    .filter(Boolean)
}

test('a subject that the policy permits is issued, read by openssl, audited and renewed as it was asked for', async () => {
  await setPolicy({ subjectAttributes: every })
  const made = await issued({ subject })
  assert.deepEqual(made.subject, answered)
  assert.deepEqual(readByOpenssl(made.pem ?? ''), byOpenssl)
  const row = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id: made.id },
    include: { issuer: true },
  })
  const der = new X509Certificate(made.pem ?? '').raw
  assert.ok(row.issuer)
  const issuer = new X509Certificate(row.issuer.der)
  assert.deepEqual(recordMismatches(row, der, issuer), [])
  const units = { ...answered, organizationalUnits: ['Ober', 'Mitte', 'Unter'] }
  assert.deepEqual(recordMismatches({ ...row, subject: units }, der, issuer), ['subject'])
  const again = await renewCertificate(ctx, admin, {
    ...{ tenant: 'example', id: made.id, csr: undefined, idempotencyKey: undefined },
  })
  assert.deepEqual(again.subject, made.subject)
})

test('by a CSR of openssl it is the same', async () => {
  await setPolicy({ subjectAttributes: every })
  const asked = byOpenssl.map((line) => `/${line.replace(/=[A-Z0-9]+:/, '=').replaceAll('\\', '')}`)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const named = ['-utf8', '-keyout', '/dev/null', '-subj', asked.join('').replace('jd+1', 'jd\\+1')]
  const { out, text, ok } = run('openssl', ['req', '-new', ...key, ...named])
  assert.ok(ok, text)
  const made = await issued({ csr: out.toString() })
  assert.deepEqual(made.leftOut, [])
  assert.deepEqual(readByOpenssl(made.pem ?? ''), byOpenssl)
})

const keytool = spawnSync('keytool', ['-version']).error === undefined
const noJava = keytool ? false : 'keytool is not on PATH'
test(`by a CSR of keytool it is the same, and keytool reads it${noJava ? ` (skipped: ${noJava})` : ''}`, {
  skip: noJava,
}, async () => {
  await setPolicy({ subjectAttributes: every })
  const name =
    'UID=jd, CN=jd.example.com, GIVENNAME=Jane, SURNAME=Doe, T=Dr, OU=Two, OU=One, O=Shop, STREET=Main St, C=DE, DC=example, DC=com'
  const store = ['-keystore', `${folder}/k.p12`, '-storepass', 'changeit', '-alias', 'a']
  const made = run('keytool', ['-genkeypair', '-keyalg', 'EC', '-dname', name, ...store])
  assert.ok(made.ok, made.text)
  const csr = run('keytool', ['-certreq', ...store]).out.toString()
  const certificate = await issued({ csr })
  assert.deepEqual(certificate.leftOut, [])
  assert.deepEqual(certificate.subject.organizationalUnits, ['One', 'Two'])
  assert.deepEqual(certificate.subject.domainComponents, ['com', 'example'])
  put(folder, 'leaf.pem', certificate.pem ?? '')
  const read = run('keytool', ['-printcert', '-file', `${folder}/leaf.pem`]).out.toString()
  const owner = /^Owner: (.*)$/m.exec(read)?.[1] ?? ''
  // Java has words of its own for some types.
  assert.equal(
    owner.replace('SURNAME=', 'SN='),
    'UID=jd, CN=jd.example.com, SN=Doe, GIVENNAME=Jane, T=Dr, OU=Two, OU=One, O=Shop, STREET=Main St, C=DE, DC=example, DC=com',
  )
})

const go = spawnSync('go', ['version']).error === undefined
const noGo = go ? false : 'go is not on PATH'
test(`Go reads it${noGo ? ` (skipped: ${noGo})` : ''}`, { skip: noGo }, async () => {
  await setPolicy({ subjectAttributes: every })
  const made = await issued({ subject })
  put(folder, 'go.pem', made.pem ?? '')
  put(
    folder,
    'read.go',
    `package main
import ("crypto/x509"; "encoding/pem"; "fmt"; "os")
func main() {
  text, _ := os.ReadFile(os.Args[1])
  block, _ := pem.Decode(text)
  leaf, err := x509.ParseCertificate(block.Bytes)
  if err != nil { panic(err) }
  for _, each := range leaf.Subject.Names { fmt.Printf("%v=%v\\n", each.Type, each.Value) }
  fmt.Println(leaf.Subject.OrganizationalUnit)
}`,
  )
  const { out, text, ok } = run('go', ['run', `${folder}/read.go`, `${folder}/go.pem`])
  assert.ok(ok, text)
  const values = byOpenssl.map((line) => line.replace(/^.*?:/, '').replaceAll('\\', ''))
  const lines = out.toString().trim().split('\n')
  assert.deepEqual(
    lines.slice(0, -1).map((line) => line.replace(/^[\d.]+=/, '')),
    values,
  )
  assert.equal(lines.at(-1), '[Ober Unter Mitte]')
})

test('what the policy does not permit is refused where it was asked for, attribute by attribute', async () => {
  await setPolicy({ subjectAttributes: ['userId'] })
  const refused = (request: object) => fieldsOf('certificate-refused', issued(request))
  const { userId, ...rest } = subject
  const others = ['domainComponents', 'organizationalUnits', 'street', 'title']
  const all = [...others, 'givenName', 'surname', 'serialNumber'].map((each) => `/subject/${each}`)
  assert.deepEqual((await refused({ subject: rest })).toSorted(), all.toSorted())
  const made = await issued({ subject: { userId, organizationalUnits: undefined } })
  assert.deepEqual(made.subject, { userId })
  // One alone is as it has always been.
  assert.deepEqual((await issued({ subject: { organizationalUnits: ['One'] } })).subject, {
    organizationalUnit: 'One',
  })
  await setPolicy({ subjectAttributes: every })
  const stranger = ['com', 'rival']
  assert.deepEqual(await refused({ subject: { domainComponents: stranger } }), [
    '/subject/domainComponents',
  ])
  assert.deepEqual(await refused({ subject: { userId: 'system:admin' } }), ['/subject/userId'])
  assert.deepEqual(await refused({ subject: { organizationalUnits: ['One', 'system:masters'] } }), [
    '/subject/organizationalUnits/1',
  ])
  assert.deepEqual(
    await refused({ subject: { organizationalUnit: 'Two', organizationalUnits: ['One', 'Two'] } }),
    ['/subject'],
  )
  await setPolicy({
    subjectAttributes: every,
    subject: { domainComponents: ['rival.com'], organizationalUnit: ['system:masters'] },
  })
  const listed = { domainComponents: stranger, organizationalUnit: 'system:masters' }
  assert.deepEqual((await issued({ subject: listed })).subject, listed)
  assert.deepEqual(await refused({ subject: { domainComponents: ['com', 'example'] } }), [
    '/subject/domainComponents',
  ])
})

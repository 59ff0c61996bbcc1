import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPublicRoot, publicRoots } from '../../../src/certificates/uploads/roots.ts'
import { servedPath } from '../../../src/certificates/uploads/served.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { readPem } from '../../../src/x509/der/pem.ts'
import { type Foreign, foreign } from '../../authorities/foreign.ts'
import { leafFor, openElsewhere } from './elsewhere.ts'

const { root, between } = await openElsewhere()
const leaf = await leafFor(between, ['www.example.com'])
const now = new Date()

function read({ pem }: Foreign) {
  const [der = Buffer.alloc(0)] = readPem(pem, 'CERTIFICATE')
  return readCertificate(der)
}

/** The served chain, or why there is none. */
function served(sent: readonly Foreign[], known: readonly Foreign[] = []) {
  const certificates = [leaf, ...sent].map(read)
  const [first] = certificates
  assert.ok(first)
  const found = servedPath(first, { certificates, known: known.map(read), now })
  return 'path' in found
    ? { ...found, above: found.path.above.map(({ subject }) => subject.commonName) }
    : found
}

test('a root that browsers know need not be sent', () => {
  const found = served([between], [root])
  assert.ok('path' in found)
  assert.deepEqual([found.above, found.publicRoot, found.leftOut], [['Elsewhere CA 1'], true, []])
})

test('a way to a root that browsers know is served rather than a longer one to another', async () => {
  const other = await foreign({ name: 'Other Root' })
  const crossed = await foreign({ name: 'Elsewhere Root', issuer: other, key: root.keys })
  const found = served([between, crossed, other], [root])
  assert.ok('path' in found)
  assert.deepEqual([found.above, found.publicRoot], [['Elsewhere CA 1'], true])
  assert.deepEqual(found.leftOut, ['"CN=Elsewhere Root", signed by "CN=Other Root"'])
})

test('a cross-certificate to a root that browsers know is served, for those that know fewer', async () => {
  const old = await foreign({ name: 'Old Root' })
  const crossed = await foreign({ name: 'Elsewhere Root', issuer: old, key: root.keys })
  const found = served([crossed, between], [root, old])
  assert.ok('path' in found)
  assert.deepEqual(found.above, ['Elsewhere CA 1', 'Elsewhere Root'])
})

test('what leads nowhere is left out, and said to', async () => {
  const gone = await foreign({ name: 'Gone Root' })
  const crossed = await foreign({ name: 'Elsewhere Root', issuer: gone, key: root.keys })
  const found = served([between, crossed], [root])
  assert.ok('path' in found)
  assert.deepEqual(found.above, ['Elsewhere CA 1'])
  assert.match(found.leftOut.join(), /Gone Root.*not sent/)
})

test('what has nothing to do with it is left out', async () => {
  const stranger = await foreign({ name: 'Stranger CA', issuer: await foreign({ name: 'S Root' }) })
  const found = served([between, stranger], [root])
  assert.ok('path' in found)
  assert.deepEqual(found.leftOut, ['"CN=Stranger CA", signed by "CN=S Root"'])
})

test('the roots that browsers know are read by our own reader', () => {
  const all = publicRoots()
  assert.ok(all.length > 100, String(all.length))
  const [first] = all
  assert.ok(first && isPublicRoot(first.der))
  assert.equal(isPublicRoot(read(root).der), false)
})

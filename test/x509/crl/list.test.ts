import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { serialFrom } from '../../../src/x509/certificates/serial.ts'
import { encodeEntry, type Revocation } from '../../../src/x509/crl/entry.ts'
import { crlFaults } from '../../../src/x509/crl/faults.ts'
import { buildCrl, type CrlHeader, crlSignedBy, readCrl } from '../../../src/x509/crl/list.ts'
import { reasonNumbers, reasonOf, settableReasons } from '../../../src/x509/crl/reasons.ts'
import { X509Error } from '../../../src/x509/der/errors.ts'
import { toPem } from '../../../src/x509/der/pem.ts'
import { generateKey } from '../../../src/x509/keys/generate.ts'
import { keyAlgorithms, spkiOf } from '../../../src/x509/keys/public.ts'
import { assemble } from '../../../src/x509/keys/sign.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import {
  type Authority,
  authority,
  issued,
  pemOf,
  put,
  run,
  scratch,
  templateFor,
  without,
} from '../support.ts'

const directory = scratch()
const thisUpdate = new Date(Math.floor(Date.now() / 1000) * 1000 - 60_000)
const nextUpdate = new Date(thisUpdate.getTime() + 7 * 86_400_000)
const revokedAt = new Date(thisUpdate.getTime() - 3_600_000)
let root: Authority

before(async () => {
  root = await authority('ECDSA_P256')
})

function headerOf(by: Authority, over: Partial<CrlHeader> = {}): CrlHeader {
  return {
    issuer: by.certificate.subjectDer,
    authorityKeyIdentifier: by.certificate.subjectKeyIdentifier ?? Buffer.alloc(0),
    signerAlgorithm: by.signer.algorithm,
    number: 1_767_225_600_000_000_000n,
    thisUpdate,
    nextUpdate,
    ...over,
  }
}

async function listOf(
  revocations: readonly Revocation[],
  over: Partial<CrlHeader> = {},
  by = root,
): Promise<Buffer> {
  const tbs = await buildCrl(headerOf(by, over), revocations.map(encodeEntry))
  return assemble(tbs, by.signer.algorithm, await by.signer.sign(tbs))
}

for (const algorithm of keyAlgorithms)
  test(`openssl verifies a list signed by an ${algorithm} authority`, async () => {
    const by = await authority(algorithm)
    const der = await listOf([{ serial: '4a01', revokedAt, reason: 'superseded' }], {}, by)
    const ca = put(directory, `${algorithm}.pem`, pemOf(by.certificate))
    const told = run('openssl', ['crl', '-inform', 'DER', '-CAfile', ca, '-noout', '-text'], der)
    assert.match(told.text, /verify OK/)
    assert.match(told.text, /Superseded/)
    assert.ok(crlSignedBy(await readCrl(der), by.certificate.spki))
    assert.ok(!crlSignedBy(await readCrl(der), spkiOf((await generateKey(algorithm)).publicKey)))
  })

test('a list without revocations has no list of them', async () => {
  const der = await listOf([])
  const read = await readCrl(der)
  assert.deepEqual(read.entries, [])
  assert.equal(read.version, 2)
  const told = run('openssl', ['crl', '-inform', 'DER', '-noout', '-text'], der).text
  assert.match(told, /No Revoked Certificates/)
  assert.deepEqual(await crlFaults(read), [])
})

test('everything comes back as it was written', async () => {
  const revocations = settableReasons.map((reason, i) => ({
    serial: `4${i}${'ab'.repeat(15)}`,
    revokedAt,
    reason,
    invalidityDate: new Date('2024-02-29T12:00:00Z'),
  }))
  const url = 'http://pki.example/crl/1.crl'
  const read = await readCrl(await listOf(revocations, { url, only: 'leaves' }))
  const told = revocations.map(({ reason, ...rest }) =>
    reason === 'unspecified' ? rest : { ...rest, reason },
  )
  assert.deepEqual(read.entries, told)
  assert.deepEqual(read.urls, [url])
  assert.equal(read.only, 'leaves')
  assert.equal(read.number, 1_767_225_600_000_000_000n)
  assert.deepEqual(read.authorityKeyIdentifier, root.certificate.subjectKeyIdentifier)
  assert.deepEqual(read.thisUpdate, thisUpdate)
  assert.deepEqual(read.nextUpdate, nextUpdate)
  assert.deepEqual(read.unknownCritical, [])
})

test('certtool reads a shard', { skip: without('certtool') }, async () => {
  const url = 'http://pki.example/crl/1.crl'
  const der = await listOf([{ serial: 'ff01', revokedAt, reason: 'keyCompromise' }], { url })
  const told = run('certtool', ['--crl-info', '--inder', '--infile', put(directory, 'c.crl', der)])
  assert.ok(told.ok, told.text)
  assert.match(told.text, /Serial Number \(hex\): 00ff01/)
})

test('keytool reads a list', { skip: without('keytool') }, async () => {
  const der = await listOf([{ serial: 'ff01', revokedAt, reason: 'keyCompromise' }])
  const told = run('keytool', ['-printcrl', '-file', put(directory, 'k.crl', der)])
  assert.match(told.text, /SerialNumber: 00:ff:01/)
})

test('openssl takes a revoked certificate for revoked by our shard, another for good', async () => {
  const crlUrl = 'http://pki.example/crl/1.crl'
  const made = async (serial: string) => {
    const keys = await generateKey('ECDSA_P256')
    const altNames = { ...noAltNames, dnsNames: ['a.example'] }
    return issued(templateFor(keys, { serial, crlUrl, altNames }, root), root.signer)
  }
  // The high bit makes the serial one octet longer in DER; both must encode the same.
  const [revoked, good] = [await made('ff'.repeat(16)), await made('7f'.repeat(16))]
  const der = await listOf([{ serial: revoked.serial, revokedAt }], { url: crlUrl, only: 'leaves' })
  const files = [
    put(directory, 'root.pem', pemOf(root.certificate)),
    put(directory, 'list.pem', toPem('X509 CRL', der)),
  ] as const
  const verdict = (leaf: typeof good) => {
    const args = ['verify', '-crl_check', '-CAfile', files[0], '-CRLfile', files[1]]
    return run('openssl', [...args, put(directory, 'leaf.pem', pemOf(leaf))]).text
  }
  assert.match(verdict(revoked), /certificate revoked/)
  assert.match(verdict(good), /: OK$/m)
})

for (const [why, over] of [
  ['ends before it begins', { nextUpdate: revokedAt }],
  ['has a negative number', { number: -1n }],
  ['has a number of 21 octets', { number: 1n << 160n }],
] as const)
  test(`a list that ${why} is not built`, () =>
    assert.rejects(listOf([], over), { code: 'value-invalid' }))

test('a serial that is none is not listed', () => {
  for (const serial of ['', 'XY', 'abc', 'ab'.repeat(21)])
    assert.throws(() => encodeEntry({ serial, revokedAt }), { code: 'serial-invalid' })
})

test('a list that must not follow the last one is told why', async () => {
  const [first, second] = [await listOf([], { number: 2n }), await listOf([], { number: 3n })]
  assert.deepEqual(await crlFaults(await readCrl(second), await readCrl(first)), [])
  assert.match((await crlFaults(await readCrl(first), await readCrl(second))).join(), /number/)
  assert.match((await crlFaults(await readCrl(first), await readCrl(first))).join(), /number/)
  const shard = await listOf([], { number: 4n, url: 'http://pki.example/2.crl' })
  assert.match((await crlFaults(await readCrl(shard), await readCrl(first))).join(), /shard/)
  const later = { serial: '01', revokedAt: nextUpdate }
  assert.match((await crlFaults(await readCrl(await listOf([later])))).join(), /after thisUpdate/)
  const twice = { serial: '01', revokedAt }
  assert.match((await crlFaults(await readCrl(await listOf([twice, twice])))).join(), /twice/)
})

/** Runs `work` and tells how often the event loop came round meanwhile. */
async function turnsDuring(work: () => Promise<unknown>, each: () => void = () => {}) {
  let turns = 0
  let working = true
  const counted = (async () => {
    for (; working; turns++) {
      await setImmediate()
      each()
    }
  })()
  await work()
  working = false
  await counted
  return turns
}

// How long a turn lasts is for bench/crl.ts to say; how much is done in one holds on any machine.
test('of a hundred thousand entries no more than 500 are worked on in one turn of the event loop', async () => {
  const serials = Array.from({ length: 100_000 }, () => serialFrom(randomBytes(16)))
  let inTurn = 0
  let most = 0
  function* entries() {
    for (const serial of serials) {
      most = Math.max(most, ++inTurn)
      yield encodeEntry({ serial, revokedAt, reason: 'superseded' })
    }
  }
  let tbs: Buffer = Buffer.alloc(0)
  await turnsDuring(
    async () => {
      tbs = await buildCrl(headerOf(root), entries())
    },
    () => {
      inTurn = 0
    },
  )
  assert.ok(most <= 500, `${most} entries in one turn`)
  const der = assemble(tbs, root.signer.algorithm, await root.signer.sign(tbs))
  let read: Awaited<ReturnType<typeof readCrl>> | undefined
  const turns = await turnsDuring(async () => {
    read = await readCrl(der)
  })
  assert.ok(turns >= 100_000 / 500, `${turns} turns`)
  assert.equal(read?.entries.length, 100_000)
  assert.equal(read?.entries.at(-1)?.serial, serials.at(-1))
})

test('a damaged list is read or refused, never anything else', async () => {
  const der = await listOf([{ serial: 'ab', revokedAt, reason: 'superseded' }], {
    url: 'http://x.y',
  })
  await fc.assert(
    fc.asyncProperty(
      fc.nat(der.length - 1),
      fc.nat(255),
      fc.nat(der.length),
      async (at, value, length) => {
        const damaged = Buffer.from(der)
        damaged[at] = value
        for (const bytes of [damaged, damaged.subarray(0, length)])
          try {
            await readCrl(bytes)
          } catch (error) {
            assert.ok(error instanceof X509Error, String(error))
          }
      },
    ),
    { numRuns: 4000 },
  )
})

test('reasons and their numbers agree both ways, and 7 is none', () => {
  for (const [reason, number] of Object.entries(reasonNumbers))
    assert.equal(reasonOf(number), reason)
  assert.equal(reasonOf(7), undefined)
})

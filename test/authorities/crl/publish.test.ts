import assert from 'node:assert/strict'
import { test } from 'node:test'
import { getShard, getWholeList } from '../../../src/authorities/crl/find.ts'
import { publishList, publishLists } from '../../../src/authorities/crl/publish.ts'
import { refreshLists } from '../../../src/authorities/crl/stale.ts'
import { wholeList } from '../../../src/authorities/crl/urls.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { importAuthority } from '../../../src/authorities/import.ts'
import { type Context, openContext } from '../../../src/core/context.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { crlSignedBy, readCrl } from '../../../src/x509/crl/list.ts'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { isProblem } from '../../support/problem.ts'
import { issueOne, jobs, keyOf, openTestAuthority, revoke } from '../support.ts'

let ahead = 0
const now = () => new Date(Date.now() + ahead)
const ctx = await openTestContext({ now })
await openTestAuthority(ctx, 3)
const issuing = await getAuthority(ctx, admin, 'issuing')
const keyId = await keyOf(ctx, 'issuing')
const publish = () => publishLists(ctx, keyId)
const day = 86_400_000

/** The list that the certificate itself names. */
function listOf({ pem }: { pem: string | null }, from: Context = ctx) {
  const [der = Buffer.alloc(0)] = readPem(pem ?? '', 'CERTIFICATE')
  const [url = ''] = readCertificate(der).crlUrls
  const found = /^http:\/\/pki\.gatesmith\.test\/pki\/(.+)\/crl\/([0-9a-f]{16})\/(\d+)$/.exec(url)
  const [, authority = '', key = '', shard = ''] = found ?? []
  return getShard(from, { authority, key, shard: Number(shard) })
}

const serials = async (der: Buffer) => (await readCrl(der)).entries.map(({ serial }) => serial)

/** As a relying party: the chain, then what `crl` says of the leaf. */
function verify(leaf: string, crls: readonly Buffer[], ...flags: readonly string[]): string {
  const lists = crls.map((der) => toPem('X509 CRL', der)).join('')
  try {
    return openssl(
      ['verify', '-x509_strict', '-crl_check', ...flags, '-CAfile', 'root.pem'].concat([
        '-untrusted',
        'sub.pem',
        '-CRLfile',
        'crl.pem',
        'leaf.pem',
      ]),
      {
        'root.pem': issuing.chainPem,
        'sub.pem': issuing.pem,
        'crl.pem': lists,
        'leaf.pem': leaf,
      },
    )
  } catch (error) {
    return String(error)
  }
}

test('the list that a certificate names is there before anything is revoked, and empty', async () => {
  const leaf = await issueOne(ctx)
  const { der } = await listOf(leaf)
  const crl = await readCrl(der)
  assert.deepEqual(crl.entries, [])
  assert.ok(crlSignedBy(crl, readCertificate(readPem(issuing.pem)[0] ?? Buffer.alloc(0)).spki))
  assert.match(verify(leaf.pem ?? '', [der]), /leaf\.pem: OK/)
  assert.match(
    openssl(['crl', '-inform', 'DER', '-in', 'c', '-noout', '-text'], { c: der }),
    /No Rev/,
  )
})

test('what is revoked is on its shard and on the whole list, for openssl too, and nowhere else', async () => {
  const made = await Promise.all(Array.from({ length: 12 }, () => issueOne(ctx)))
  const [gone, ...good] = made
  assert.ok(gone)
  await revoke(ctx, gone, 'superseded')
  await publish()
  const { der } = await listOf(gone)
  assert.match(verify(gone.pem ?? '', [der]), /certificate revoked/)
  const text = openssl(['crl', '-inform', 'DER', '-in', 'c', '-noout', '-text'], { c: der })
  assert.match(text, /Superseded/)
  assert.match(text, /Issuing Distribution Point: critical/)
  for (const leaf of good) {
    const own = await listOf(leaf)
    assert.match(verify(leaf.pem ?? '', [own.der]), /leaf\.pem: OK/)
    assert.ok(!(await serials(own.der)).includes(leaf.serial))
  }
  const whole = await getWholeList(ctx, 'issuing')
  assert.deepEqual((await readCrl(whole.der)).urls, [])
  assert.ok((await serials(whole.der)).includes(gone.serial))
  assert.match(verify(gone.pem ?? '', [whole.der]), /certificate revoked/)
})

test('a shard says nothing about certificates of another one', async () => {
  // Shards follow from serials, which are random: so many that none of the three stays empty.
  const made = await Promise.all(Array.from({ length: 48 }, () => issueOne(ctx)))
  const lists = await Promise.all(made.map((leaf) => listOf(leaf)))
  const urls = new Set(
    await Promise.all(lists.map(async ({ der }) => (await readCrl(der)).urls[0])),
  )
  assert.equal(urls.size, 3)
  const [one] = made
  const other = lists.find(({ der }) => !der.equals(lists[0]?.der ?? der))
  assert.match(verify(one?.pem ?? '', [other?.der ?? Buffer.alloc(0)]), /different CRL scope/i)
})

test('the authority above answers for the authority below', async () => {
  const leaf = await issueOne(ctx)
  const [sub = Buffer.alloc(0)] = readPem(issuing.pem)
  const [url = ''] = readCertificate(sub).crlUrls
  assert.match(url, /\/pki\/root\/crl\/[0-9a-f]{16}\/1$/)
  const above = await listOf({ pem: issuing.pem })
  const own = await listOf(leaf)
  // The root is only on a list of everything, as it names none itself.
  const whole = await getWholeList(ctx, 'root')
  const lists = [above.der, own.der, whole.der]
  assert.match(verify(leaf.pem ?? '', lists, '-crl_check_all'), /leaf\.pem: OK/)
})

test('a reason is left out when there is none, and a compromise that shows later is told', async () => {
  const leaf = await issueOne(ctx)
  await revoke(ctx, leaf)
  await publish()
  const entry = async () =>
    (await readCrl((await listOf(leaf)).der)).entries.find(({ serial }) => serial === leaf.serial)
  const first = await entry()
  assert.equal(first?.reason, undefined)
  await revoke(ctx, leaf, 'keyCompromise')
  await publish()
  assert.deepEqual(await entry(), { ...first, reason: 'keyCompromise' })
})

test('two replicas that publish at once: numbers go up, and both serve the same bytes', async () => {
  const other = openContext(ctx.config, ctx.log, { now })
  try {
    let last = (await getWholeList(ctx, 'issuing')).number
    for (let round = 0; round < 5; round++) {
      const leaf = await issueOne(ctx)
      await revoke(ctx, leaf)
      await Promise.all(
        [ctx, other, ctx, other].map((each) => publishList(each, { keyId, shard: wholeList })),
      )
      const [one, two] = await Promise.all([
        getWholeList(ctx, 'issuing'),
        getWholeList(other, 'issuing'),
      ])
      assert.ok(one.number > last)
      assert.equal(one.number, two.number)
      assert.ok(one.der.equals(two.der))
      assert.equal((await readCrl(one.der)).number, one.number)
      assert.ok((await serials(one.der)).includes(leaf.serial))
      last = one.number
    }
    const kept = await ctx.db.read.signedList.count({ where: { keyId, shard: wholeList } })
    assert.equal(kept, 1)
  } finally {
    await other.db.close()
  }
})

test('a clock that goes back does not take numbers or times with it', async () => {
  const before = await getWholeList(ctx, 'issuing')
  const leaf = await issueOne(ctx)
  await revoke(ctx, leaf)
  ahead = -600_000
  try {
    await publish()
    const after = await getWholeList(ctx, 'issuing')
    assert.ok(after.number > before.number)
    assert.ok(after.thisUpdate >= before.thisUpdate)
    assert.ok((await serials(after.der)).includes(leaf.serial))
  } finally {
    ahead = 0
  }
})

test('another replica’s clock may be ahead: nothing is revoked after thisUpdate', async () => {
  const leaf = await issueOne(ctx)
  ahead = 3_600_000
  await revoke(ctx, leaf)
  ahead = 0
  await publish()
  const { entries, thisUpdate } = await readCrl((await listOf(leaf)).der)
  const entry = entries.find(({ serial }) => serial === leaf.serial)
  assert.ok(entry && entry.revokedAt <= thisUpdate)
})

test('what was revoked while a list was built is on the next one', async () => {
  const leaf = await issueOne(ctx)
  const late = await issueOne(ctx)
  await revoke(ctx, leaf)
  // Before, between or after the reading of the counter and that of the rows.
  await Promise.all([publishList(ctx, { keyId, shard: wholeList }), revoke(ctx, late)])
  await publish()
  const { der } = await getWholeList(ctx, 'issuing')
  assert.ok(
    (await serials(der)).includes(leaf.serial) && (await serials(der)).includes(late.serial),
  )
  const rows = await ctx.db.read.revocationList.findMany({ where: { keyId } })
  assert.ok(rows.every(({ shown, revision }) => shown === revision))
})

test('nothing is published anew while nothing has changed, until the day is over', async () => {
  await publish()
  const first = await getWholeList(ctx, 'issuing')
  await publish()
  assert.equal((await getWholeList(ctx, 'issuing')).number, first.number)
  ahead = day + 1000
  try {
    await refreshLists(ctx)
    assert.ok((await jobs(ctx, 'authority.publish')).includes(`authority.publish/${keyId}`))
    await publish()
    const next = await getWholeList(ctx, 'issuing')
    assert.ok(next.number > first.number)
    assert.equal(next.nextUpdate.getTime() - next.thisUpdate.getTime(), 7 * day)
  } finally {
    ahead = 0
  }
})

test('a revoked certificate is listed until one list after its end, and then no more', async () => {
  const leaf = await issueOne(ctx, { validityDays: 1 })
  await revoke(ctx, leaf)
  const listed = async (days: number) => {
    ahead = days * day
    await publish()
    return (await serials((await getWholeList(ctx, 'issuing')).der)).includes(leaf.serial)
  }
  try {
    assert.equal(await listed(2.1), true)
    assert.equal(await listed(3.2), false)
  } finally {
    ahead = 0
  }
})

test('a list that no longer holds is never served: it is made when it is asked for', async () => {
  ahead = 20 * day
  try {
    const { nextUpdate } = await getWholeList(ctx, 'issuing')
    assert.ok(nextUpdate > now())
  } finally {
    ahead = 0
  }
})

test('the database lets no number go down', async () => {
  const { number } = await getWholeList(ctx, 'issuing')
  for (const lower of [number, number - 1n]) {
    await assert.rejects(
      ctx.db.read.revocationList.update({
        where: { keyId_shard: { keyId, shard: wholeList } },
        data: { number: lower },
      }),
    )
  }
})

test('a list that nobody could have named is not built, nor one without a key', async () => {
  const key =
    (await readCrl((await listOf(await issueOne(ctx))).der)).urls[0]?.split('/').at(-2) ?? ''
  const ask = (authority: string, label: string, shard: number) =>
    getShard(ctx, { authority, key: label, shard })
  await assert.rejects(ask('issuing', key, 4), isProblem('list-unknown'))
  await assert.rejects(ask('issuing', '0'.repeat(16), 1), isProblem('list-unknown'))
  await assert.rejects(ask('root', key, 1), isProblem('list-unknown'))
  await assert.rejects(ask('nobody', key, 1), isProblem('authority-unknown'))
  await assert.rejects(getWholeList(ctx, 'nobody'), isProblem('authority-unknown'))
  const certificate = openssl(
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'].concat([
      '-keyout',
      'k.pem',
      '-subj',
      '/CN=keyless',
      '-days',
      '30',
    ]),
  )
  await importAuthority(ctx, admin, { name: 'keyless', certificate })
  await assert.rejects(getWholeList(ctx, 'keyless'), isProblem('authority-keyless'))
})

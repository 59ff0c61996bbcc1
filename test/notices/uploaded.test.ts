import assert from 'node:assert/strict'
import { test } from 'node:test'
import { uploadCertificate } from '../../src/certificates/uploads/take.ts'
import { endingCertificates } from '../../src/notices/endings.ts'
import { crossed } from '../../src/notices/thresholds.ts'
import { day } from '../../src/shared/moment.ts'
import { leafFor, openElsewhere, sentOf } from '../certificates/uploads/elsewhere.ts'
import { openStage, put, work } from '../delivery/support.ts'
import { admin } from '../support/context.ts'

const { ctx } = await openStage()
const { root, between } = await openElsewhere()
const name = 'noticed.shop.test'

async function upload(replaces?: string) {
  const leaf = await leafFor(between, [name], { days: 90 })
  const request = {
    ...sentOf(leaf, between, root),
    ...(replaces === undefined ? {} : { replaces }),
  }
  return (await uploadCertificate(ctx, admin, { tenant: 'shop', request })).certificate
}

/** What is told when it is so many days before the end of the certificate. */
async function told(notAfter: string, days: number) {
  const now = new Date(Date.parse(notAfter) - days * day + 1000)
  const until = new Date(now.getTime() + 31 * day)
  const found = []
  for await (const news of endingCertificates(
    { ...ctx, now: () => now },
    { from: now, to: until },
  )) {
    found.push(...news)
  }
  return found
}

test('an uploaded certificate is told of at each threshold, with its host, until it has a successor', async () => {
  const certificate = await upload()
  await put(ctx, name, { certificate: { uploaded: certificate.id } })
  await work(ctx, name)
  for (const days of [30, 14, 7, 3, 1]) {
    const [news, ...others] = await told(certificate.notAfter, days)
    assert.ok(news)
    assert.deepEqual(others, [])
    assert.equal(news.key, `certificate/${certificate.id}/ends/${days}`)
    assert.match(
      String(news.data.summary),
      /was uploaded.*upload its successor.*noticed\.shop\.test/,
    )
    assert.equal(news.data.host, name)
  }
  assert.equal(crossed(new Date(certificate.notAfter), new Date()), undefined)
  const next = await upload(certificate.id)
  const after = await told(certificate.notAfter, 7)
  assert.ok(after.every(({ key }) => key.startsWith(`certificate/${next.id}/`)))
})

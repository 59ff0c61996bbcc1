import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { test } from 'node:test'
import type { NewCaChallenge } from '../../../src/authorities/acme/schema.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { admin } from '../../support/context.ts'
import { named, openNameServer } from '../../support/nameserver.ts'
import { fieldsOf } from '../../support/problem.ts'
import { until } from '../../support/process.ts'
import { hostWhen, isSynced, openElsewhere, putOn } from './support.ts'

const skip = named ? false : 'no name server: named is not installed'
const note = skip ? ` (skipped: ${skip})` : ''
const dns = skip ? undefined : await openNameServer()
const all = dns ? await openElsewhere({ dns: dns.address }) : undefined

function world() {
  assert.ok(all && dns)
  const { address: server, keyName, algorithm, secret } = dns
  const rfc2136 = { server, zone: 'shop.test', keyName, algorithm, secret }
  const way: NewCaChallenge = { type: 'dns-01', rfc2136 }
  return { all, dns, rfc2136, way }
}

test(`a host and its wildcard get their certificate by dynamic updates, of which nothing is left${note}`, {
  skip,
}, async () => {
  const { all, dns, way, rfc2136 } = world()
  await all.account('by-update', way)
  await putOn(all, '*.shop.test', {
    ...{ aliases: ['shop.test'], certificate: { authority: 'by-update' } },
  })
  await hostWhen(all, '*.shop.test', isSynced)
  const challenges = await all.ca.ctx.db.read.acmeChallenge.findMany({ where: { status: 'valid' } })
  assert.deepEqual(
    challenges.map(({ type }) => type),
    ['dns-01', 'dns-01'],
  )
  await until('what was put up is taken away', async () => {
    const left = await all.ctx.db.read.caChallenge.count({ where: { cleanedAt: null } })
    return left === 0 || undefined
  })
  const resolver = new Resolver()
  resolver.setServers([dns.address])
  await assert.rejects(resolver.resolveTxt('_acme-challenge.shop.test'))
  const { secret, ...shown } = rfc2136
  const { acme } = await getAuthority(all.ctx, admin, 'by-update')
  assert.deepEqual(acme?.challenge, { type: 'dns-01', rfc2136: shown })
  const written = JSON.stringify(await all.ctx.db.read.auditEvent.findMany(), (_, value) =>
    typeof value === 'bigint' ? `${value}` : value,
  )
  assert.ok(written.includes('by-update') && !written.includes(secret))
})

test(`a key that the server does not know is told on the host in words${note}`, {
  skip,
}, async () => {
  const { all, rfc2136 } = world()
  await all.account('by-another', { type: 'dns-01', rfc2136: { ...rfc2136, keyName: 'another' } })
  await putOn(all, 'www.shop.test', { certificate: { authority: 'by-another' } })
  const { status } = await hostWhen(all, 'www.shop.test', (host) =>
    JSON.stringify(host.status).includes('BADKEY'),
  )
  assert.match(JSON.stringify(status), /it knows no key/)
})

test(`what no update can be sent by is refused with the authority${note}`, { skip }, async () => {
  const { all, rfc2136 } = world()
  for (const [field, value] of [
    ['server', '127.0.0.1:0'],
    ['server', '127.0.0.1:65536'],
    ['zone', 'shop..test'],
    ['zone', '.'],
    ['keyName', 'a'.repeat(64)],
    ['secret', 'AAAAAAAAAAAAAAAAAAAAAAA'],
  ] as const) {
    const asked = all.account('wrong', { type: 'dns-01', rfc2136: { ...rfc2136, [field]: value } })
    assert.deepEqual(await fieldsOf('authority-refused', asked), [`/challenge/rfc2136/${field}`])
  }
  const both = { ...all.ways.dns, rfc2136 }
  assert.deepEqual(await fieldsOf('authority-refused', all.account('wrong', both)), ['/challenge'])
})

import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { openAccount } from '../../../src/acme/accounts/open.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { deadKubeconfig } from '../../support/kubeconfig.ts'

// Something of everything that lists show, of two tenants and more: of each filter there are those that it finds, and
// those that it does not.

let shift = -3 * 24 * 60 * 60 * 1000
const { ctx, http, send } = await openTestApi({ now: () => new Date(Date.now() + shift) })

export { ctx, http, send }

/** Has something made, or changed; answers what is said of it. */
export async function make(
  method: 'post' | 'put' | 'patch',
  url: string,
  body: object,
): Promise<Made> {
  const { status, body: answer, text } = await http[method](`/v1${url}`).send(body)
  if (status >= 300) throw new Error(`${method} ${url}: ${status} ${text}`)
  return answer
}

export type Made = {
  readonly id: string
  readonly serial: string
  readonly fingerprintSha256: string
  readonly notAfter: string
}

for (const name of ['first', 'second', 'third']) {
  await make('post', '/authorities', { name, kind: 'root', subject: { commonName: name } })
}
await make('patch', '/authorities/third', { retired: true })

const marks = {
  one: { owner: 'the shop team', labels: { team: 'shop', env: 'prod' } },
  two: { owner: 'the bank team', labels: { team: 'bank' } },
  three: {},
}
for (const [name, marked] of Object.entries(marks)) {
  await make('post', '/tenants', {
    ...{ name, domains: [`${name}.test`, `${name}.example`], namespaces: ['test', 'other'] },
    ...(name === 'three' ? {} : { defaultAuthority: name === 'one' ? 'first' : 'second' }),
    ...marked,
  })
}
await make('post', '/authorities', {
  ...{ name: 'issuing', kind: 'intermediate', parent: 'first', tenant: 'one' },
  subject: { commonName: 'issuing' },
})

const kubeconfig = deadKubeconfig()
for (const name of ['east', 'west', 'north']) {
  await make('post', '/clusters', { name, kubeconfig, ingress: { address: '127.0.0.1:1' } })
}

/** One that has ended by the time that all is there. */
export const ended = await issue('one', { dnsNames: ['ended.one.test'], validityDays: 1 })
shift = 0
export const deep = await issue('one', {
  ...{ profile: 'peer', dnsNames: ['a.b.one.test', 'c.one.test'], authority: 'issuing' },
  ...{ keyAlgorithm: 'ECDSA_P384', validityDays: 20, labels: { env: 'prod', team: 'shop' } },
})
export const wild = await issue('one', { dnsNames: ['*.one.test'], validityDays: 60 })
await issue('one', { profile: 'client', subject: { commonName: 'client' }, validityDays: 70 })
await issue('two', { dnsNames: ['one.two.test'], validityDays: 70, labels: { env: 'test' } })
const revoked = await issue('one', { dnsNames: ['gone.one.test'], validityDays: 40 })
await make('post', `/tenants/one/certificates/${revoked.id}/revoke`, { reason: 'superseded' })

function issue(tenant: string, asked: object): Promise<Made> {
  return make('post', `/tenants/${tenant}/certificates`, { profile: 'server', ...asked })
}

const to = { service: 'httpbin', namespace: 'test', port: 80 }
const hosts: readonly (readonly [string, string, object])[] = [
  ['one', 'www.one.test', { clusters: ['east', 'west'], labels: { env: 'prod' } }],
  ['one', 'api.one.test', { clusters: ['east', 'west'], aliases: ['rest.one.example'] }],
  ['one', 'shop.one.test', { clusters: ['west'], certificate: { authority: 'issuing' } }],
  ['one', 'mail.one.test', { clusters: ['north'] }],
  ['two', 'www.two.test', { clusters: ['east'], labels: { env: 'test', team: 'bank' } }],
  ['two', 'bank.two.test', { clusters: ['west'] }],
]
for (const [tenant, name, asked] of hosts) {
  await make('put', `/tenants/${tenant}/hosts/${name}`, { routes: [{ to }], ...asked })
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  await certifyHost(ctx, id)
}
await make('patch', '/tenants/one/hosts/www.one.test', { labels: { tier: 'front' } })
// By another than the one who does everything else.
const labels = { env: 'prod', tier: 'front', team: 'shop' }
const spec = { routes: [{ to }], clusters: ['east', 'west'], labels }
await putHost(ctx, admin, { tenant: 'one', name: 'www.one.test', spec })

for (const [name, namespace, cluster] of [
  ['first', 'test', 'east'],
  ['second', 'test', 'west'],
  ['third', 'other', 'east'],
] as const) {
  await make('put', `/tenants/one/deliveries/${name}`, {
    ...{ certificate: name === 'third' ? wild.id : deep.id, clusters: [cluster] },
    secret: { name: `${name}-tls`, namespace },
  })
}

// Keys of ACME, and accounts as clients would open them.
for (const name of ['web', 'mail', 'mesh']) {
  const { id } = await make('post', '/tenants/one/acme-keys', { name })
  const row = await ctx.db.read.acmeKey.findUniqueOrThrow({ where: { id } })
  const authority = await ctx.db.read.authority.findUniqueOrThrow({ where: { name: 'first' } })
  await openAccount(ctx, {
    ...{ key: { ...row, tenant: { name: 'one' } }, authorityId: authority.id, requestId: 'stock' },
    ...{ jwk: {}, thumbprint: name, contact: [] },
  })
}
await ctx.db.statement(`update acme_account set status = 'revoked' where thumbprint = $1`, ['mail'])

// As clusters would have it.
for (const [name, status] of Object.entries({ east: 'Ready', west: 'Failed' })) {
  await ctx.db.statement('update cluster set status = $2 where name = $1', [name, status])
}
for (const [name, cluster, status] of [
  ['www.one.test', 'east', 'Synced'],
  ['api.one.test', 'east', 'Applied'],
  ['api.one.test', 'west', 'Failed'],
  ['shop.one.test', 'west', 'Conflict'],
]) {
  const text = `update placement set status = $3 where name = $1
    and "clusterId" = (select id from cluster where name = $2)`
  await ctx.db.statement(text, [name, cluster, status])
}
for (const [name, status] of Object.entries({ first: 'Synced', second: 'Failed' })) {
  const text = 'update delivery_target set status = $2 where "secretName" = $1'
  await ctx.db.statement(text, [`${name}-tls`, status])
}
const { id: clusterId } = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'east' } })
const at = new Date('2026-06-01T00:00:00Z')
await ctx.db.read.foreignCertificate.createMany({
  data: ['one', 'two'].map((name) => ({
    ...{ id: randomUUID(), clusterId, ingress: 'default', credential: `kubernetes://${name}` },
    ...{ fingerprintSha256: name.padEnd(64, '0'), serial: '0a', subject: `CN=${name}` },
    ...{ issuer: 'CN=else', dnsNames: [`${name}.else.test`], ipAddresses: [] },
    ...{ keyAlgorithm: 'ECDSA_P256', notBefore: at, notAfter: at, chainLength: 1 },
    ...{ servedNames: [`${name}.else.test`], gateways: ['web/shop'], pods: 1 },
    ...{ firstSeenAt: at, seenAt: at },
  })),
})
// As hosts would order of a CA elsewhere.
const { id: orderedOf } = await ctx.db.read.authority.findUniqueOrThrow({
  where: { name: 'first' },
})
const ordering = await ctx.db.read.host.findMany({ orderBy: { name: 'asc' }, take: 3 })
await ctx.db.read.caOrder.createMany({
  data: (['authorizing', 'failed', 'issued'] as const).flatMap((state, index) => {
    const host = ordering[index]
    if (!host) return []
    const createdAt = new Date(at.getTime() + index * 1000)
    const { id: hostId, tenantId, name } = host
    return {
      ...{ id: randomUUID(), tenantId, hostId, authorityId: orderedOf, names: [name], state },
      ...{ keyAlgorithm: 'ECDSA_P256', csr: Buffer.from('csr'), createdAt },
      endedAt: state === 'authorizing' ? null : createdAt,
    }
  }),
})
for (const digit of ['a', 'b', 'c']) {
  await make('post', '/blocked-keys', { spkiSha256: digit.repeat(64), reason: `key ${digit}` })
}
for (const owner of ['', '/tenants/one']) {
  for (const role of ['viewer', 'auditor', 'operator']) {
    await make('post', `${owner}/api-keys`, { name: `one-${role}`, role })
  }
}
const asked = await make('post', '/authorities/first/approvals', { action: 'remove' })
await make('post', `/authorities/first/approvals/${asked.id}/reject`, {})
await make('post', '/authorities/first/approvals', { action: 'remove' })
await make('post', '/authorities/first/approvals', { action: 'one-person' })

// Refusals are recorded while nobody waits for it, and so is who has come for the first time.
await send(await tokenFor(ctx, 'one', 'viewer'))
  .get('/v1/tenants')
  .expect(200)
await send(null).get('/v1/tenants').expect(401)
const seen = { where: { action: { startsWith: 'access.' } } }
while ((await ctx.db.read.auditEvent.count(seen)) < 3) await wait(20)

/** What stands for the parameters of a path. */
export const places: Readonly<Record<string, string>> = {
  ...{ tenant: 'one', authority: 'first', host: 'www.one.test' },
}

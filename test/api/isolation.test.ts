import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { buildSchema, type GraphQLOutputType, getNamedType, isObjectType } from 'graphql'
import { createAuthority } from '../../src/authorities/create.ts'
import { crossSign } from '../../src/authorities/issuers/crosssign.ts'
import { rotateAuthority } from '../../src/authorities/rotation/rotate.ts'
import { certifyHost } from '../../src/certificates/hosts/certify.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { orderReplacement } from '../../src/certificates/replacement/replace.ts'
import { revokeCertificate } from '../../src/certificates/revocation/revoke.ts'
import { createCluster } from '../../src/clusters/register.ts'
import type { HostSpec } from '../../src/hosts/host.ts'
import { putHost } from '../../src/hosts/put.ts'
import { createApiKey } from '../../src/tenants/apikeys/lifecycle.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { admin } from '../support/context.ts'
import { deadKubeconfig } from '../support/kubeconfig.ts'

// One tenant's key of any role, over every GET route and every field of GraphQL: nothing of another
// tenant is in any answer, though they share authorities and clusters.

const { ctx, http, send } = await openTestApi()

const kubeconfig = deadKubeconfig()
await createCluster(ctx, admin, { name: 'east', kubeconfig, ingress: { address: '127.0.0.1:1' } })
for (const name of ['root', 'far']) {
  await createAuthority(ctx, admin, { name, kind: 'root', subject: { commonName: name } })
}
await createAuthority(ctx, admin, {
  name: 'issuing',
  kind: 'intermediate',
  parent: 'root',
  subject: { commonName: 'issuing' },
})

const marks: string[] = []

/** A tenant with something of everything, all of which bears its mark. */
async function furnish(mark: string) {
  await createTenant(ctx, admin, {
    name: mark,
    displayName: `${mark} Inc.`,
    domains: [`${mark}.test`, 'fair.test'],
    namespaces: [`${mark}-ns`],
    defaultAuthority: 'root',
  })
  const subject = { commonName: `${mark} ca` }
  const own = { kind: 'intermediate', parent: 'root', tenant: mark, pathLength: 1 } as const
  await createAuthority(ctx, admin, { ...own, name: `${mark}-ca`, subject })
  await createAuthority(ctx, admin, { ...own, name: `${mark}-away`, parent: 'far', subject })
  // As if it had been imported without its key.
  await ctx.db.statement(
    `update authority_key set store = 'absent' where id in (select "keyId" from issuer
      join authority on authority.id = issuer."authorityId" where name = $1)`,
    [`${mark}-away`],
  )
  const keyAsked = { name: `${mark}-key`, role: 'viewer' } as const
  const key = await createApiKey(ctx, admin, { tenant: mark, request: keyAsked })
  const certificates = []
  for (const authority of ['root', `${mark}-ca`]) {
    for (const profile of ['client', 'server'] as const) {
      certificates.push(
        await issueCertificate(ctx, admin, {
          tenant: mark,
          request: {
            ...{ profile, authority, dnsNames: [`${profile}.${mark}.test`] },
            subject: { commonName: `${profile}.${mark}.test`, organization: `${mark} people` },
          },
          idempotencyKey: undefined,
        }),
      )
    }
  }
  const to = { service: `${mark}-svc`, namespace: `${mark}-ns`, port: 80 }
  const put = async (name: string, spec: Partial<HostSpec> = {}) => {
    const all = { routes: [{ to }], clusters: ['east'], ...spec }
    await putHost(ctx, admin, { tenant: mark, name, spec: all })
    const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
    await certifyHost(ctx, id)
    return id
  }
  const tls = { mode: 'MUTUAL', clientAuthority: 'root' } as const
  const hosts = [await put(`www.${mark}.test`), await put(`mutual.${mark}.test`, { tls })]
  await put(`${mark}.fair.test`)
  const gone = { tenant: mark, id: certificates[0]?.id ?? '', reason: 'keyCompromise' } as const
  await revokeCertificate(ctx, admin, gone)
  const where = { tenant: mark, authority: 'root' }
  const order = await orderReplacement(ctx, admin, { reason: `${mark} audit`, where })
  return { ids: [...hosts, order.id, key.id], certificates }
}

await furnish('alpha')
const { ids, certificates } = await furnish('zmark')
await rotateAuthority(ctx, admin, { authority: 'root', request: {} })
await crossSign(ctx, admin, { authority: 'issuing', by: 'zmark-ca' })
const { id: tenantId } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'zmark' } })
const stored = await ctx.db.read.certificate.findMany({ where: { tenantId } })
marks.push(
  ...['zmark', tenantId, ...ids],
  ...stored.flatMap(({ id, serial, spkiSha256 }) => [id, serial, spkiSha256]),
)

/** The marks in an answer, besides those that were asked with. In base64 any five letters may stand by chance. */
function marksIn(answer: string, asked: string): readonly string[] {
  const text = answer.replaceAll(/-----BEGIN[^-]+-----[^-]+/g, '').toLowerCase()
  return marks.filter((mark) => text.includes(mark) && !asked.includes(mark))
}

const document = JSON.parse(
  await readFile(new URL('../../openapi/openapi.json', import.meta.url), 'utf8'),
)
const routes = Object.entries(document.paths as Record<string, object>)
  .filter(([path, methods]) => path.startsWith('/v1/') && 'get' in methods)
  .map(([path]) => path)

const names: Readonly<Record<string, readonly string[]>> = {
  tenant: ['alpha', 'zmark'],
  authority: ['root', 'issuing', 'alpha-ca', 'zmark-ca'],
  cluster: ['east'],
  host: ['www.alpha.test', 'www.zmark.test', 'mutual.zmark.test'],
  id: marks.filter((mark) => mark.includes('-')),
}

/** The route with every combination of names in its parameters. */
function filled(path: string): readonly string[] {
  const [, name] = /\{([a-z]+)\}/.exec(path) ?? []
  if (name === undefined) return [path]
  return (names[name] ?? []).flatMap((value) => filled(path.replace(`{${name}}`, value)))
}

const roles = ['admin', 'operator', 'viewer', 'auditor'] as const

test('the marks are there to be seen by the platform', async () => {
  const seen = await http.get('/v1/authorities/root/rotation')
  assert.equal(seen.status, 200)
  assert.ok(seen.text.includes('mutual.zmark.test'))
  assert.ok(seen.body.outstanding.held.some(({ tenant }: { tenant: string }) => tenant === 'zmark'))
  const issuers = await http.get('/v1/authorities/issuing/issuers')
  assert.ok(issuers.text.includes('zmark-ca'))
  assert.ok(certificates.length > 0 && routes.length > 15)
})

for (const role of roles) {
  test(`no route tells a tenant's ${role} anything of another tenant`, async () => {
    const hand = send(await tokenFor(ctx, 'alpha', role))
    let answered = 0
    for (const url of routes.flatMap(filled)) {
      const { status, text } = await hand.get(url)
      if (status === 200) answered++
      assert.ok(status < 500, url)
      assert.deepEqual(marksIn(text, url), [], `${url}: ${text}`)
      const foreign = /zmark/.test(url) || marks.some((mark) => url.includes(mark))
      assert.ok(!foreign || status === 404 || status === 403, `${url} answers ${status}`)
    }
    assert.ok(answered > 8, `${answered} answers`)
  })
}

test('a rotation tells a tenant of its own hosts and certificates, and counts those', async () => {
  const hand = send(await tokenFor(ctx, 'alpha', 'viewer'))
  const { body } = await hand.get('/v1/authorities/root/rotation')
  const all = (await http.get('/v1/authorities/root/rotation')).body
  const { trust, held, hosts, authorities } = body.outstanding
  assert.deepEqual(
    trust.map(({ host }: { host: string }) => host),
    ['mutual.alpha.test'],
  )
  assert.equal(hosts, 3)
  assert.equal(all.outstanding.hosts, 6)
  assert.deepEqual(authorities.toSorted(), ['alpha-ca', 'issuing'])
  assert.equal(held.length, body.outstanding.certificates)
  assert.ok(held.length > 0 && held.length < all.outstanding.held.length)
})

/** Things that are not the tenant's: another's, or nobody's. */
type Things = { readonly mark: string; readonly ids: readonly string[] }

/** Requests of every route, with names of such things in its path or in its body. */
function requests({ mark, ids: some }: Things) {
  const of: Readonly<Record<string, readonly string[]>> = {
    tenant: ['alpha', mark],
    authority: ['root', `${mark}-ca`],
    cluster: ['east', `${mark}-east`],
    host: ['www.alpha.test', `www.${mark}.test`],
    id: some,
    spkiSha256: ['0'.repeat(64)],
  }
  const urls = (path: string): readonly string[] => {
    const [, name] = /\{([a-zA-Z0-9]+)\}/.exec(path) ?? []
    if (name === undefined) return [path]
    return (of[name] ?? []).flatMap((value) => urls(path.replace(`{${name}}`, value)))
  }
  const issue = { profile: 'server', dnsNames: ['a.alpha.test'] } as const
  const to = { service: 'alpha-svc', namespace: 'alpha-ns', port: 80 }
  const named = [undefined, `${mark}-ca`, `${mark}-away`].map((authority) => ({
    asked: authority === undefined ? {} : { authority },
    tls: { mode: 'MUTUAL', clientAuthority: authority ?? 'root' },
  }))
  const specs = named.flatMap(({ asked, tls }) => [
    { certificate: asked, routes: [{ to }], clusters: ['east'] },
    { tls, routes: [{ to }], clusters: ['east'] },
    { tls: { ...tls, clients: 'authority' }, routes: [{ to }], clusters: ['east'] },
  ])
  const bodies = (method: string, path: string): readonly (object | undefined)[] => {
    if (method === 'get') return [undefined]
    if (path.endsWith('/certificates')) return named.map(({ asked }) => ({ ...issue, ...asked }))
    if (path.endsWith(':batch'))
      return named.map(({ asked }) => ({ items: [{ ...issue, ...asked }] }))
    if (method === 'put') return specs
    if (path.endsWith('/plan')) return [{}, ...specs.map((spec) => ({ spec }))]
    if (path.endsWith('/api-keys')) return [{ name: 'made', role: 'viewer' }]
    if (path.endsWith('/revoke')) return [{ reason: 'superseded' }]
    if (path.endsWith('/replacements'))
      return [{ tenant: mark }, { authority: `${mark}-ca` }, { authority: `${mark}-away` }].map(
        (where) => ({ reason: 'audit', where }),
      )
    return [method === 'delete' ? undefined : {}]
  }
  return everyRoute.flatMap(({ method, path }) =>
    urls(path).flatMap((url) => bodies(method, path).map((body) => ({ method, url, body }))),
  )
}

const everyRoute = Object.entries(document.paths as Record<string, object>).flatMap(([path, all]) =>
  (['get', 'post', 'put', 'patch', 'delete'] as const).flatMap((method) =>
    path.startsWith('/v1/') && method in all ? [{ method, path }] : [],
  ),
)

for (const role of ['admin', 'operator'] as const) {
  test(`whatever a tenant's ${role} does to another's thing is answered as if there were none`, async () => {
    const hand = send(await tokenFor(ctx, 'alpha', role))
    const strangers = marks.filter((mark) => /^[0-9a-f-]{36}$/.test(mark))
    const nobodys = strangers.map(() => randomUUID())
    const masked = (text: string) =>
      [...strangers, ...nobodys, 'zmark', 'zvoid']
        .reduce((left, name) => left.replaceAll(name, 'X'), text)
        .replace(/"instance":"[^"]*"/, '')
    const theirs = requests({ mark: 'zmark', ids: strangers })
    const absent = requests({ mark: 'zvoid', ids: nobodys })
    let asked = 0
    for (const [index, one] of theirs.entries()) {
      const other = absent[index]
      if (!other || JSON.stringify(one) === JSON.stringify(other)) continue
      const what = `${one.method} ${one.url} ${JSON.stringify(one.body)}`
      const found = await hand[one.method](one.url).send(one.body)
      const missed = await hand[other.method](other.url).send(other.body)
      assert.equal(masked(found.text), masked(missed.text), what)
      assert.equal(found.status, missed.status, what)
      assert.ok(found.status >= 400 || one.url.endsWith(':batch'), `${what}: ${found.status}`)
      asked++
    }
    assert.ok(asked > 100, `${asked} asked`)
  })
}

const schema = buildSchema(
  await readFile(new URL('../../openapi/schema.graphql', import.meta.url), 'utf8'),
)

/** Every field of a type, so many relations deep. */
function selection(type: GraphQLOutputType, depth: number): string {
  const named = getNamedType(type)
  if (!isObjectType(named)) return ''
  const fields = Object.values(named.getFields()).flatMap((field) => {
    const inner = getNamedType(field.type)
    if (!isObjectType(inner)) return [field.name]
    if (depth === 0) return []
    const args = field.args.some(({ name }) => name === 'first') ? '(first: 3)' : ''
    const chosen = selection(field.type, depth - (/Page$/.test(inner.name) ? 0 : 1))
    return /^\{\s*\}$/.test(chosen) ? [] : [`${field.name}${args} ${chosen}`]
  })
  return `{ ${fields.join(' ')} }`
}

test('no field of GraphQL tells a tenant anything of another tenant', async () => {
  const fields = Object.values(schema.getQueryType()?.getFields() ?? {})
  assert.ok(fields.length > 8)
  for (const role of roles) {
    const hand = send(await tokenFor(ctx, 'alpha', role))
    const told = new Set<string>()
    for (const field of fields) {
      const values = new Map<string, readonly string[]>([
        ['tenant', ['alpha', 'zmark']],
        ['name', ['root', 'zmark-ca', 'alpha', 'zmark', 'east', 'www.zmark.test']],
        ['id', marks.filter((mark) => mark.includes('-')).slice(0, 6)],
        ['within', ['P400D']],
        ['first', ['3']],
      ])
      let calls: readonly string[] = ['']
      for (const { name } of field.args) {
        const given = values.get(name)
        if (!given) continue
        const written = given.map((value) =>
          name === 'first' ? `first: ${value}` : `${name}: ${JSON.stringify(value)}`,
        )
        calls = calls.flatMap((call) => written.map((one) => `${call} ${one}`))
      }
      for (const call of calls) {
        const args = call === '' ? '' : `(${call})`
        const query = `{ ${field.name}${args} ${selection(field.type, 1)} }`
        const answer = await hand.post('/graphql').send({ query })
        assert.ok(answer.status < 500, query)
        if (answer.body.data?.[field.name]) told.add(field.name)
        assert.ok(!/must have a selection|Cannot query|Syntax/.test(answer.text), answer.text)
        assert.deepEqual(marksIn(answer.text, call), [], `${query}: ${answer.text}`)
      }
    }
    assert.ok(told.size > 7, [...told].join())
  }
})

test('a host that another tenant’s stands in the way of is refused without that one’s name', async () => {
  const hand = send(await tokenFor(ctx, 'alpha', 'operator'))
  const to = { service: 'alpha-svc', namespace: 'alpha-ns', port: 80 }
  const spec = { routes: [{ to }], clusters: ['east'] }
  for (const url of [
    '/v1/tenants/alpha/hosts/*.fair.test',
    '/v1/tenants/alpha/hosts/zmark.fair.test',
  ]) {
    const answer = await hand.put(url).send(spec)
    assert.equal(answer.status, 409, answer.text)
    assert.deepEqual(marksIn(answer.text, url), [], answer.text)
  }
})

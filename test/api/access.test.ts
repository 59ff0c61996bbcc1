import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { buildSchema, type GraphQLObjectType } from 'graphql'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { sdl } from '../../src/api/graphql/schema.ts'
import { createAuthority } from '../../src/authorities/create.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { Scope } from '../../src/core/actor.ts'
import { createApiKey, createCertificateKey } from '../../src/tenants/apikeys/lifecycle.ts'
import type { NewApiKey } from '../../src/tenants/apikeys/schema.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi } from '../support/api.ts'
import { admin } from '../support/context.ts'

// Every route and every field with credentials of every kind, held against the tables of docs/access.md.

const { privateKey, publicKey } = await generateKeyPair('ES256')
const provider = createServer(async ({ url }, response) => {
  const keys = [await exportJWK(publicKey)]
  response.end(JSON.stringify(url === '/keys' ? { keys } : { issuer, jwks_uri: `${issuer}/keys` }))
})
await new Promise<void>((done) => provider.listen(0, '127.0.0.1', done))
after(() => provider.close())
const issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`

const {
  ctx,
  api,
  url: base,
} = await openTestApi(
  {},
  {
    oidc: {
      ...{ issuer, audience: 'gatesmith', algorithms: ['ES256'] },
      ...{ roleClaim: 'role', tenantClaim: 'tenant' },
      roles: (['admin', 'operator', 'viewer', 'auditor'] as const).map((role) => {
        return { value: role, role }
      }),
    },
    ...{ trustedProxies: ['127.0.0.1'], clientCertHeader: 'client-cert' },
  },
)
const subject = { commonName: 'access' }
const keyAlgorithm = 'ECDSA_P256' as const
await createAuthority(ctx, admin, { name: 'access', kind: 'root', keyAlgorithm, subject })
for (const name of ['alpha', 'beta']) {
  await createTenant(ctx, admin, { name, domains: [], defaultAuthority: 'access' })
}

const noId = '019a0000-0000-7000-8000-000000000000'
const roles = ['admin', 'operator', 'viewer', 'auditor'] as const
type Role = (typeof roles)[number]

type Row = {
  readonly name: string
  readonly roles: readonly string[]
  readonly platform: boolean
  readonly scopes: readonly string[]
}

/** The rows of a table of the page, by what stands in its first column. */
async function rowsUnder(heading: string): Promise<readonly Row[]> {
  const page = await readFile(new URL('../../docs/access.md', import.meta.url), 'utf8')
  const [, part = ''] = page.split(`\n## ${heading}\n`)
  const [own = ''] = part.split('\n## ')
  return [...own.matchAll(/^\| `([^`]+)` \| ([^|]+) \| (own|platform) \| ([^|]+) \|$/gm)].map(
    ([, name = '', who = '', whose, scope = '']) => ({
      name,
      roles: who === 'all' ? roles : who.split(' '),
      platform: whose === 'platform',
      scopes: scope === 'any' ? [] : scope.split(' '),
    }),
  )
}

let made = 0

async function keyOf(tenant: string | null, asked: Omit<NewApiKey, 'name'>) {
  return createApiKey(ctx, admin, { tenant, request: { name: `k-${made++}`, ...asked } })
}

/** Credentials of some kind as they are sent, made once. */
const credentials = new Map<string, Promise<string>>()

function once(key: unknown, make: () => Promise<string>): Promise<string> {
  const text = JSON.stringify(key)
  const known = credentials.get(text) ?? make()
  credentials.set(text, known)
  return known
}

function tokenOf(tenant: string | null, role: Role, scopes?: readonly Scope[]): Promise<string> {
  const asked = { role, ...(scopes ? { scopes: [...scopes] } : {}) }
  return once(
    ['key', tenant, role, scopes],
    async () => `Bearer ${(await keyOf(tenant, asked)).token}`,
  )
}

function signedFor(tenant: string | null, role: Role, audience = 'gatesmith'): Promise<string> {
  return once(['oidc', tenant, role, audience], async () => {
    const claims = { iss: issuer, aud: audience, sub: 'me', role, tenant: tenant ?? '*' }
    const token = new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).setExpirationTime('1h')
    return `Bearer ${await token.sign(privateKey)}`
  })
}

/** A client certificate that is bound to a key of this role; `null`: to none. */
function certifiedAs(tenant: string, role: 'operator' | 'viewer' | null): Promise<string> {
  return once(['certificate', tenant, role], async () => {
    const commonName = `${role}`
    const order = { profile: 'client', keyAlgorithm, subject: { commonName } } as const
    const asked = { tenant, request: order, idempotencyKey: undefined }
    const { id } = await issueCertificate(ctx, admin, asked)
    const { der } = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id } })
    const request = { name: `k-${made++}`, certificate: { commonName } }
    if (role) await createCertificateKey(ctx, admin, { tenant, request: { ...request, role } })
    return `Certificate :${Buffer.from(der ?? []).toString('base64')}:`
  })
}

/** Of each kind in turn, so that each row meets all of them. */
function anyOf(turn: number, tenant: string | null, role: Role): Promise<string> {
  const even = turn % 2 === 0
  if (tenant !== null && role === 'operator' && even) return certifiedAs(tenant, role)
  if (tenant !== null && role === 'viewer' && !even) return certifiedAs(tenant, role)
  if (role === (even ? 'admin' : 'auditor')) return signedFor(tenant, role)
  return tokenOf(tenant, role)
}

/** The header in which credentials are sent. */
function headerOf(sent: string | undefined): Record<string, string> {
  if (sent === undefined) return {}
  const [, certificate] = /^Certificate (.*)$/.exec(sent) ?? []
  return certificate === undefined ? { authorization: sent } : { 'client-cert': certificate }
}

/** Credentials that open nothing. */
async function badCredentials(): Promise<readonly (readonly [string, string | undefined])[]> {
  const expired = await keyOf('alpha', { role: 'admin' })
  const revoked = await keyOf('alpha', { role: 'admin' })
  const at = new Date(Date.now() - 1000)
  await ctx.db.read.apiKey.update({ where: { id: expired.id }, data: { expiresAt: at } })
  await ctx.db.read.apiKey.update({ where: { id: revoked.id }, data: { revokedAt: at } })
  const good = await tokenOf(null, 'admin')
  return [
    ['none', undefined],
    ['of another kind', good.replace('Bearer', 'Token')],
    ['with a letter changed', `${good.slice(0, -1)}${good.endsWith('A') ? 'B' : 'A'}`],
    ['signed for another audience', await signedFor(null, 'admin', 'another')],
    ['a certificate that is bound to nothing', await certifiedAs('alpha', null)],
    ['expired', `Bearer ${expired.token}`],
    ['revoked', `Bearer ${revoked.token}`],
  ]
}

const bad = await badCredentials()

/** All scopes but these, and but those that have them in them. */
function others(scopes: readonly string[]): readonly Scope[] {
  const wide = scopes.flatMap((scope) => [scope, scope.replace(/:read$/, ':write')])
  return Scope.enum.filter((scope) => !wide.includes(scope))
}

type Case = {
  readonly what: string
  readonly authorization: string | undefined
  readonly want: Want
}
/** yes: not refused for who asks; hidden: 404. */
type Want = 'yes' | 401 | 403 | 'hidden'

let turns = 0

/** What each kind of credentials is to be answered; `names` says whether the tenant alpha is named. */
async function casesOf(row: Row, names: boolean): Promise<readonly Case[]> {
  const cases: Case[] = bad.map(([what, authorization]) => ({ what, authorization, want: 401 }))
  const turn = turns++
  const add = async (what: string, sent: Promise<string>, want: Want) =>
    cases.push({ what, authorization: await sent, want })
  for (const role of roles) {
    const may = row.roles.includes(role)
    const own = may && !row.platform
    await add(`platform ${role}`, anyOf(turn, null, role), may ? 'yes' : 403)
    await add(`own ${role}`, anyOf(turn, 'alpha', role), own ? 'yes' : 403)
    await add(`other ${role}`, anyOf(turn, 'beta', role), own ? (names ? 'hidden' : 'yes') : 403)
  }
  const scopes = Scope.enum.filter((scope) => row.scopes.includes(scope))
  assert.equal(scopes.length, row.scopes.length, row.name)
  const enough = scopes.length === 0 ? (['events:read'] as const) : scopes
  await add('platform scoped', tokenOf(null, 'admin', enough), 'yes')
  await add('own scoped', tokenOf('alpha', 'admin', enough), row.platform ? 403 : 'yes')
  for (const scope of scopes) {
    await add(`all but ${scope}`, tokenOf(null, 'admin', others([scope])), 403)
    await add(`own, all but ${scope}`, tokenOf('alpha', 'admin', others([scope])), 403)
  }
  return cases
}

function isAs(want: Want, status: number): boolean {
  if (want === 'yes') return status !== 401 && status !== 403 && status < 500
  return status === (want === 'hidden' ? 404 : want)
}

const leaf = { profile: 'server', dnsNames: ['a.alpha.test'] }
const clusters = ['a']
const routes = [{ to: { service: 'a', namespace: 'a', port: 80 } }]

/** Well formed where a tenant is named, so that it is not the form that is refused; nothing comes of it. */
const bodies: readonly (readonly [string, object])[] = [
  ['/tenants/alpha/api-keys', { name: 'k-0', role: 'viewer' }],
  ['/tenants/alpha/acme-keys', { name: 'k-0' }],
  ['/api-keys:certificate', { name: 'k-0', role: 'viewer', certificate: { commonName: 'k-0' } }],
  ['/notices/a', { kind: 'webhook', url: 'https://127.0.0.1/' }],
  ['/certificates', leaf],
  ['/certificates:batch', { items: [leaf] }],
  ['/certificates:revoke', { items: [{ id: noId }] }],
  ['/hosts:batch', { items: [{ action: 'remove', name: 'a.alpha.test' }] }],
  ['/hosts/a.alpha.test', { clusters, routes }],
  ['/deliveries/a', { certificate: noId, secret: { name: 'a', namespace: 'a' }, clusters }],
]

/** The status alone: a stream of events has no end. */
async function statusOf(url: string, method: string, authorization: string | undefined) {
  const leave = new AbortController()
  const sent = bodies.find(([end]) => url.endsWith(end))?.[1] ?? {}
  const body = method === 'GET' || method === 'DELETE' ? {} : { body: JSON.stringify(sent) }
  const { status } = await fetch(`${base}${url}`, {
    ...{ method, signal: leave.signal, ...body },
    headers: { 'content-type': 'application/json', ...headerOf(authorization) },
  })
  leave.abort()
  return status
}

const rest = await rowsUnder('REST')

test('every operation has its row, and every row its operation', () => {
  const operations = Object.entries(api.swagger().paths ?? {}).flatMap(([path, methods]) =>
    path.startsWith('/v1/')
      ? Object.keys(methods ?? {}).map((m) => `${m.toUpperCase()} ${path}`)
      : [],
  )
  assert.deepEqual(rest.map(({ name }) => name).sort(), operations.sort())
})

/** Things that are not there, under a tenant that is, unless that one would be changed. */
function filled(method: string, path: string): string {
  const tenant = path.endsWith('/{tenant}') && method !== 'GET' ? 'nobody' : 'alpha'
  return path
    .replace('{tenant}', tenant)
    .replace('{id}', noId)
    .replace('{spkiSha256}', '0'.repeat(64))
    .replace('{host}', 'a.alpha.test')
    .replace(/\{\w+\}/g, 'a')
}

test('each operation is open to whom its row says, and to nobody else', async () => {
  const wrong: string[] = []
  for (const row of rest) {
    const [method = '', path = ''] = row.name.split(' ')
    const url = filled(method, path)
    const cases = await casesOf(row, path.includes('{tenant}'))
    await Promise.all(
      cases.map(async ({ what, authorization, want }) => {
        const status = await statusOf(url, method, authorization)
        if (!isAs(want, status)) wrong.push(`${row.name}, ${what}: ${status}, not ${want}`)
      }),
    )
  }
  assert.deepEqual(wrong, [])
})

async function askGraphql(query: string, authorization: string | undefined) {
  const response = await fetch(`${base}/graphql`, {
    ...{ method: 'POST', body: JSON.stringify({ query }) },
    headers: { 'content-type': 'application/json', ...headerOf(authorization) },
  })
  const answer = (await response.json()) as {
    readonly errors?: readonly { readonly extensions: { readonly status: number } }[]
    readonly data?: Readonly<Record<string, unknown>>
  }
  return { status: response.status, answer }
}

const schema = buildSchema(sdl)
const samples: Readonly<Record<string, string>> = {
  tenant: '"alpha"',
  name: '"alpha"',
  id: JSON.stringify(noId),
  within: '"P1D"',
  spec: '{ clusters: ["a"], routes: [{ to: { service: "a", namespace: "a", port: 80 } }] }',
  certificate: '{ profile: server, dnsNames: ["a.alpha.test"] }',
}

/** A call of the field with what it must be given, and the tenant where it takes one. */
function callOf(field: ReturnType<GraphQLObjectType['getFields']>[string]): string {
  // Of authorities it is a filter, not whose they are.
  const named = field.name === 'authorities' ? '' : 'tenant'
  const given = field.args.flatMap(({ name, type }) =>
    name === named || String(type).endsWith('!') ? [`${name}: ${samples[name]}`] : [],
  )
  const kind = schema.getMutationType()?.getFields()[field.name] === field ? 'mutation ' : ''
  return `${kind}{ ${field.name}${given.length > 0 ? `(${given.join(', ')})` : ''} { __typename } }`
}

test('each field of GraphQL is open to whom its row says, and to nobody else', async () => {
  const roots = [schema.getQueryType(), schema.getMutationType()]
  const fields = roots.flatMap((root) => Object.values(root?.getFields() ?? {}))
  const rows = await rowsUnder('GraphQL')
  const names = ({ name }: { readonly name: string }) => name
  assert.deepEqual(rows.map(names).sort(), fields.map(names).sort())
  const wrong: string[] = []
  for (const field of fields) {
    const row = rows.find(({ name }) => name === field.name)
    assert.ok(row)
    const query = callOf(field)
    const cases = await casesOf(row, query.includes('tenant:'))
    await Promise.all(
      cases.map(async ({ what, authorization, want }) => {
        const { status, answer } = await askGraphql(query, authorization)
        const found = status === 200 ? (answer.errors?.[0]?.extensions.status ?? 200) : status
        // A thing that the actor may not see is null.
        const hidden = want === 'hidden' && answer.data?.[field.name] == null
        if (!hidden && !isAs(want, found)) wrong.push(`${query}, ${what}: ${found}, not ${want}`)
      }),
    )
  }
  assert.deepEqual(wrong, [])
})

test('a relation needs the scope of what it leads to', async () => {
  const query = '{ tenant(name: "alpha") { name hosts { items { name } } } }'
  const ask = async (scopes: readonly Scope[]) =>
    askGraphql(query, await tokenOf('alpha', 'viewer', scopes))
  const refused = await ask(['tenants:read'])
  assert.equal(refused.answer.errors?.[0]?.extensions.status, 403)
  const { answer } = await ask(['tenants:read', 'hosts:write'])
  assert.deepEqual(answer.data, { tenant: { name: 'alpha', hosts: { items: [] } } })
})

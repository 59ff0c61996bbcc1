import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { buildSchema, type GraphQLObjectType } from 'graphql'
import { sdl } from '../../src/api/graphql/schema.ts'
import { Scope } from '../../src/core/actor.ts'
import { createApiKey } from '../../src/tenants/apikeys/lifecycle.ts'
import type { NewApiKey } from '../../src/tenants/apikeys/schema.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi } from '../support/api.ts'
import { admin } from '../support/context.ts'

// Every route and every field with credentials of every kind, held against the tables of docs/access.md.

const { ctx, api, url: base } = await openTestApi()
for (const name of ['alpha', 'beta']) await createTenant(ctx, admin, { name, domains: [] })

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

const tokens = new Map<string, Promise<string>>()

function tokenOf(tenant: string | null, role: Role, scopes?: readonly Scope[]): Promise<string> {
  const key = JSON.stringify([tenant, role, scopes])
  const asked = { role, ...(scopes ? { scopes: [...scopes] } : {}) }
  const token = tokens.get(key) ?? keyOf(tenant, asked).then((found) => found.token)
  tokens.set(key, token)
  return token
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
    ['of another kind', `Token ${good}`],
    ['with a letter changed', `Bearer ${good.slice(0, -1)}${good.endsWith('A') ? 'B' : 'A'}`],
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

/** What each kind of credentials is to be answered; `names` says whether the tenant alpha is named. */
async function casesOf(row: Row, names: boolean): Promise<readonly Case[]> {
  const cases: Case[] = bad.map(([what, authorization]) => ({ what, authorization, want: 401 }))
  const add = async (what: string, token: Promise<string>, want: Want) =>
    cases.push({ what, authorization: `Bearer ${await token}`, want })
  for (const role of roles) {
    const may = row.roles.includes(role)
    const own = may && !row.platform
    await add(`platform ${role}`, tokenOf(null, role), may ? 'yes' : 403)
    await add(`own ${role}`, tokenOf('alpha', role), own ? 'yes' : 403)
    await add(`other ${role}`, tokenOf('beta', role), own ? (names ? 'hidden' : 'yes') : 403)
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
    headers: { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) },
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
    headers: { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) },
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
    askGraphql(query, `Bearer ${await tokenOf('alpha', 'viewer', scopes)}`)
  const refused = await ask(['tenants:read'])
  assert.equal(refused.answer.errors?.[0]?.extensions.status, 403)
  const { answer } = await ask(['tenants:read', 'hosts:write'])
  assert.deepEqual(answer.data, { tenant: { name: 'alpha', hosts: { items: [] } } })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Type from 'typebox'
import Value from 'typebox/value'
import { createAuthority } from '../../../src/authorities/create.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { settingsFor, startProcess, untilReady } from '../../support/process.ts'

// No request stops the process for others, whoever sends it: the worst bodies that the limit of each
// route admits, to a server in a process of its own, whose event loop and memory are watched.

const { ctx, api } = await openTestApi()
await createAuthority(ctx, admin, { name: 'a', kind: 'root', subject: { commonName: 'R' } })
await createTenant(ctx, admin, { name: 'a', domains: ['a.test'], defaultAuthority: 'a' })
const tokens = {
  viewer: await tokenFor(ctx, 'a', 'viewer'),
  admin: await tokenFor(ctx, null, 'admin'),
  nobody: undefined,
}
const own = await settingsFor(ctx.config.databaseUrl)
const port = own.GATESMITH_PORT
const settings = {
  ...own,
  GATESMITH_SEALING_KEY: ctx.config.sealingKey.toString('base64'),
}
const script = 'test/support/measuredserver.ts'
const url = await untilReady(startProcess([], settings, script), settings)
const watch = `http://127.0.0.1:${Number(port) + 1}`

const most = { pauseMs: 50, grownMb: 64 }
/** Memory is tidied up now and then; what a body does it does every time. */
const tries = 6

const Measured = Type.Object({
  pauseMs: Type.Number(),
  grownMb: Type.Number(),
  slowness: Type.Number(),
})

async function measured() {
  return Value.Parse(Measured, await (await fetch(watch)).json())
}

type Route = { readonly method: string; readonly path: string; readonly schema: unknown }

/** Every route that takes a body, with the shape of that body. */
const routes: readonly Route[] = Object.entries(api.swagger().paths ?? {}).flatMap(
  ([path, methods]) =>
    Object.entries(methods ?? {})
      .filter(([method]) => ['post', 'put', 'patch'].includes(method))
      .map(([method, operation]) => ({
        method: method.toUpperCase(),
        path: path
          .replace('{id}', '019a0000-0000-7000-8000-000000000000')
          .replace('hosts/{host}', 'hosts/a.a.test')
          .replace(/\{\w+\}/g, 'a'),
        schema: at(operation, 'requestBody', 'content', 'application/json', 'schema'),
      })),
)

function at(node: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) => Object.entries(inner ?? {}).find(([k]) => k === key)?.[1],
    node,
  )
}

const KiB = 1024
const list = (item: string, bytes: number) =>
  `[${Array.from({ length: Math.floor(bytes / (item.length + 1)) - 2 }, () => item).join()}]`
const members = (count: number, member: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => member(n)).join()

const madeWorst = new Map<number, readonly (readonly [string, string])[]>()

/** Texts that are worst in one way each, of up to so many bytes. */
function worst(bytes: number): readonly (readonly [string, string])[] {
  const room = bytes - 200
  const known = madeWorst.get(bytes)
  if (known) return known
  const texts = [
    ['empty objects', list('{}', room)],
    ['empty lists', list('[]', room)],
    ['numbers', list('1', room)],
    ['texts that are alike', list('"a"', room)],
    ['as many values as are read', list('{}', 3 * 9_900)],
    ['as many texts as are read', `[${members(9_900, (n) => `"t${n}"`)}]`],
    [
      'as many unknown fields as are read',
      list(`{${members(990, (n) => `"f${n}":1`)}}`, 9 * 8_000),
    ],
    ['unknown fields', `{${members(Math.floor(room / 14), (n) => `"f${n}":[]`)}}`],
    ['deep lists', '['.repeat(room / 2) + ']'.repeat(room / 2)],
    ['as deep as is read', list(`${'['.repeat(60)}${']'.repeat(60)}`, 300 * 121)],
    ['one long text', `"${'a'.repeat(room)}"`],
    ['one long name', `{"${'a'.repeat(room)}":1}`],
    ['escapes', `"${'\\u0041'.repeat(room / 6)}"`],
    ['backslashes', `"${'\\\\'.repeat(room / 2)}"`],
    ['quotes', `"${'\\"'.repeat(room / 2)}"`],
    ['white space', `[${' '.repeat(room)}]`],
    ['letters of four bytes', `"${'🂡'.repeat(room / 4)}"`],
    ['pems', `"${'-----BEGIN X-----\\nAAAA\\n-----END X-----\\n'.repeat(room / 45)}"`],
  ] as const
  madeWorst.set(bytes, texts)
  return texts
}

/** The worst texts as the body, and in the place of each of its fields, two levels deep; made when they are sent. */
function bodiesOf({ schema }: Route, bytes: number): readonly (readonly [string, () => string])[] {
  const texts = worst(bytes)
  const within = texts.filter(([what]) =>
    /alike|as are read|as many values|one long text|pems/.test(what),
  )
  return [
    ...texts.map(([what, text]) => [what, () => text] as const),
    // Two of them in each place, others in the next: over the places all have their turn.
    ...placesIn(schema).flatMap((place, index) =>
      within
        .filter((_, turn) => turn % 3 === index % 3)
        .map(([what, text]) => [`${what} as ${place.join('.')}`, () => put(place, text)] as const),
    ),
  ]
}

function put(place: readonly string[], text: string): string {
  return place.reduceRight(
    (inner, key) => (key === '[]' ? `[${inner}]` : `{"${key}":${inner}}`),
    text,
  )
}

function placesIn(schema: unknown, depth = 0): readonly (readonly string[])[] {
  if (depth > 2) return []
  const either = at(schema, 'anyOf')
  if (Array.isArray(either)) return either.flatMap((each) => placesIn(each, depth))
  const items = at(schema, 'items')
  if (items !== undefined) return placesIn(items, depth + 1).map((place) => ['[]', ...place])
  return Object.entries(at(schema, 'properties') ?? {}).flatMap(([key, inner]) => [
    [key],
    ...placesIn(inner, depth + 1).map((place) => [key, ...place]),
  ])
}

async function send(
  { method, path }: Omit<Route, 'schema'>,
  token: string | undefined,
  body: string,
  longest = 200_000,
) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: Buffer.from(body),
  })
  const text = await response.text()
  assert.ok(response.status < 500, `${method} ${path} → ${response.status} ${text.slice(0, 300)}`)
  assert.ok(text.length < longest, `${method} ${path} → an answer of ${text.length}`)
  return response.status
}

type Work = readonly [string, () => Promise<unknown>]

/** Does it all, and asks what that was; what was too much is done again, each by itself. */
async function areLight(works: readonly Work[]): Promise<void> {
  await measured()
  for (const [, work] of works) await work()
  if (!isTooMuch(await measured())) return
  for (const [about, work] of works) await isLight(about, work)
}

/** Fails when every try took too long or too much. */
async function isLight(about: string, work: () => Promise<unknown>): Promise<void> {
  const seen: string[] = []
  for (let n = 0; n < tries; n++) {
    await work()
    const found = await measured()
    if (!isTooMuch(found)) return
    const { pauseMs, slowness, grownMb } = found
    seen.push(`${pauseMs.toFixed()} ms by ${slowness.toFixed(1)}, ${grownMb.toFixed()} MB`)
  }
  assert.fail(`${about}: ${seen.join('; ')}`)
}

function isTooMuch({ pauseMs, slowness, grownMb }: Type.Static<typeof Measured>): boolean {
  return pauseMs >= most.pauseMs * slowness || grownMb >= most.grownMb
}

const deepLists = '['.repeat(1000) + ']'.repeat(1000)
const graphql = { method: 'POST', path: '/graphql' }
const aliases = (count: number, field: (n: number) => string) =>
  `{ ${Array.from({ length: count }, (_, n) => field(n)).join(' ')} }`
const queries: readonly (readonly [string, string])[] = [
  ['one field many times', aliases(990, () => '__typename')],
  [
    'one field with fields many times',
    aliases(30, () => `tenants { ${'nextCursor '.repeat(30)} }`),
  ],
  ['unknown fields', aliases(990, (n) => `tenantsx${n}`)],
  [
    'introspection',
    aliases(70, (n) => `a${n}: __schema { types { fields { name args { name } } } }`),
  ],
  ['less introspection', aliases(29, (n) => `a${n}: __schema { types { fields { name } } }`)],
  ['deep fields', '{ tenant(name: "a") { hosts { items { tenant { '.repeat(200)],
  ['braces', '{'.repeat(60_000)],
  ['a comment', `#${'x'.repeat(60_000)}`],
  ['a long text', `{ tenant(name: "${'x'.repeat(60_000)}") { name } }`],
  ['a deep value', `{ tenant(name: ${'['.repeat(400)}${']'.repeat(400)}) { name } }`],
  ['variables', `query (${members(190, (n) => `$v${n}: Int`)}) { __typename }`],
  [
    'fragments within fragments',
    `{ ...f0 } ${members(45, (n) => `fragment f${n} on Query { ...f${n + 1} ...f${n + 1} }`).replaceAll(',', ' ')} fragment f45 on Query { __typename }`,
  ],
  [
    'more fragments',
    `${aliases(120, (n) => `...f${n}`)} ${members(120, (n) => `fragment f${n} on Query { __typename }`).replaceAll(',', ' ')}`,
  ],
  ['directives', aliases(200, (n) => `a${n}: __typename @skip(if: false)`)],
]

test('no query stops GraphQL', async () => {
  for (const [who, token] of Object.entries(tokens)) {
    await areLight(
      queries.map(([what, query]) => [
        `${who} sends ${what}`,
        () => send(graphql, token, JSON.stringify({ query }), 500_000),
      ]),
    )
  }
})

test('a batch of which every item is refused stops nobody', async () => {
  const batch = { method: 'POST', path: '/v1/tenants/a/certificates:batch' }
  const names = (name: (n: number) => string) => Array.from({ length: 25 }, (_, n) => name(n))
  for (const [what, item] of [
    ['names that are none', { profile: 'server', dnsNames: names((n) => `*.x_${n}..bad`) }],
    ['names of others', { profile: 'server', dnsNames: names((n) => `h${n}.b.test`) }],
    [
      'much PEM',
      { profile: 'server', csr: '-----BEGIN X-----\nAAAA\n-----END X-----\n'.repeat(90) },
    ],
  ] as const) {
    const body = JSON.stringify({ items: Array.from({ length: 1000 }, () => item) })
    await isLight(what, () => send(batch, tokens.admin, body, 1_000_000))
  }
})

for (const route of routes.filter(({ path }) => !path.startsWith('/pki'))) {
  test(`no body stops ${route.method} ${route.path}`, async () => {
    const bytes = route.path.endsWith('certificates:batch') ? 4096 * KiB : 512 * KiB
    const bodies = bodiesOf(route, bytes)
    for (const [who, token] of Object.entries(tokens)) {
      // Who is refused before the body is looked at (what is nested so deeply is none) is the same with any.
      const unread = [401, 403].includes(await send(route, token, deepLists))
      await areLight(
        bodies
          .filter(([what]) => !unread || /^(deep lists|unknown fields|one long text)$/.test(what))
          .map(([what, make]) => [
            `${who} sends ${what}`,
            () => {
              const body = make()
              assert.ok(Buffer.byteLength(body) <= bytes, `${what} is ${body.length} long`)
              return send(route, token, body)
            },
          ]),
      )
    }
  })
}

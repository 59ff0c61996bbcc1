import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { buildSchema } from 'graphql'
import { casesOf, type Item, keyOfItem, type Query } from './cases.ts'
import { type ListOperation, lists } from './contract.ts'
import { http, places } from './stock.ts'

type Page = {
  readonly items: readonly Item[]
  readonly nextCursor: string | null
  readonly total?: object
}

const keysOf = (items: readonly Item[]) => items.map(keyOfItem)

async function page({ path }: ListOperation, query: Query): Promise<Page> {
  const place = path.replace(/\{(\w+)\}/g, (_, name: string) => places[name] ?? '')
  const { status, body, text } = await http.get(`${place}?${new URLSearchParams(query)}`)
  assert.equal(status, 200, `${place} ${JSON.stringify(query)}: ${text}`)
  return body
}

/** All that a list has for a query, page by page. */
async function whole(
  read: (query: Query) => Promise<Page>,
  query: Query,
): Promise<readonly Item[]> {
  const items: Item[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const next: Page = await read(cursor === '' ? query : { ...query, cursor })
    items.push(...next.items)
    cursor = next.nextCursor
  }
  return items
}

/** By which member of an item a list is sorted. */
const sortedBy: Readonly<Record<string, readonly (keyof Item)[]>> = {
  ...{ name: ['name'], notAfter: ['notAfter'], seq: ['seq'], since: ['since'] },
  createdAt: ['createdAt', 'askedAt'],
}

const isInOrder = (items: readonly Item[], sort: string) => {
  const members = sortedBy[sort] ?? []
  const values = items.map((item) => {
    const value = members.map((member) => item[member]).find((each) => each !== undefined)
    assert.ok(typeof value === 'string', `${sort} is no member of an item`)
    return sort === 'seq' ? value.padStart(20, '0') : value
  })
  return values.every((value, at) => at === 0 || (values[at - 1] ?? '') <= value)
}

for (const list of lists) {
  const all = await whole((query) => page(list, query), { limit: '500' })
  const cases = [...casesOf(list)].flatMap(([name, some]) =>
    some.map(([asked, holds]) => ({ name, query: { [name]: asked }, holds })),
  )

  test(`each filter of ${list.id} finds those that it says, and no others`, async () => {
    assert.ok(all.length > 2)
    for (const { query, holds } of cases) {
      const what = JSON.stringify(query)
      const expected = keysOf(all.filter((item) => holds(item, query)))
      assert.ok(expected.length > 0 && expected.length < all.length, `${what} tells nothing`)
      const { items, total } = await page(list, { ...query, limit: '500', count: 'true' })
      assert.deepEqual(keysOf(items), expected, what)
      assert.deepEqual(total, { value: expected.length, exact: true }, what)
    }
  })

  test(`two filters of ${list.id} find what both say`, async () => {
    const byName = [...Map.groupBy(cases, ({ name }) => name).values()]
    for (const [at, some] of byName.entries()) {
      for (const [turn, others] of byName.slice(at + 1).entries()) {
        const [one, other] = [some[turn % some.length], others[at % others.length]]
        assert.ok(one && other)
        const query = { ...one.query, ...other.query }
        const expected = all.filter((item) => one.holds(item, query) && other.holds(item, query))
        const { items } = await page(list, { ...query, limit: '500' })
        assert.deepEqual(keysOf(items), keysOf(expected), JSON.stringify(query))
      }
    }
  })

  test(`each order of ${list.id} is the same page by page, and the other one backwards`, async () => {
    const upwards = list.sorts.filter((sort) => !sort.startsWith('-'))
    assert.ok(upwards.length > 0 && list.sorts.length === 2 * upwards.length)
    for (const [turn, sort] of upwards.entries()) {
      const { items } = await page(list, { sort, limit: '500' })
      assert.equal(items.length, all.length)
      assert.ok(isInOrder(items, sort), `${sort}: ${JSON.stringify(keysOf(items))}`)
      const down = keysOf((await page(list, { sort: `-${sort}`, limit: '500' })).items)
      assert.deepEqual(down, keysOf(items).toReversed(), sort)
      for (const each of [sort, `-${sort}`]) {
        const expected = each === sort ? keysOf(items) : down
        const read = (query: Query) => page(list, query)
        assert.deepEqual(keysOf(await whole(read, { sort: each, limit: '2' })), expected, each)
        // Over the orders all filters have their turn.
        const some = cases.filter((_, at) => at % upwards.length === turn)
        for (const { query, holds } of some) {
          const found = new Set(keysOf(all.filter((item) => holds(item, query))))
          assert.deepEqual(
            keysOf(await whole(read, { ...query, sort: each, limit: '2' })),
            expected.filter((key) => found.has(key)),
            JSON.stringify({ ...query, sort: each }),
          )
        }
      }
    }
  })
}

const sdl = await readFile(new URL('../../../openapi/schema.graphql', import.meta.url), 'utf8')
const schema = buildSchema(sdl)

/** Where GraphQL has a list of REST: the way to it, whose types are read off the schema; and what REST is asked
 *  beside what GraphQL is. */
type Place = { readonly id: string; readonly way: readonly string[]; readonly beside?: Query }
const ways: readonly Place[] = [
  { id: 'listTenants', way: ['tenants'] },
  { id: 'listAuthorities', way: ['authorities'] },
  { id: 'listClusters', way: ['clusters'] },
  { id: 'listHosts', way: ['hosts'] },
  { id: 'listCertificates', way: ['certificates'] },
  { id: 'listAuditEvents', way: ['auditEvents'] },
  { id: 'listTenantHosts', way: ['hosts(tenant: "one")'] },
  { id: 'listTenantCertificates', way: ['certificates(tenant: "one")'] },
  { id: 'listTenantDeliveries', way: ['deliveries(tenant: "one")'] },
  { id: 'listTenantHosts', way: ['tenant(name: "one")', 'hosts'] },
  { id: 'listTenantCertificates', way: ['tenant(name: "one")', 'certificates'] },
  { id: 'listTenantDeliveries', way: ['tenant(name: "one")', 'deliveries'] },
  { id: 'listHosts', way: ['cluster(name: "east")', 'hosts'], beside: { cluster: 'east' } },
  {
    id: 'listCertificates',
    way: ['authority(name: "first")', 'certificates'],
    beside: { authority: 'first' },
  },
]

/** The last field of a way, and its arguments as the schema has them. */
function fieldAt(way: readonly string[]) {
  let type = schema.getQueryType()
  for (const [at, step] of way.entries()) {
    const field = type?.getFields()[step.replace(/\(.*/, '')]
    assert.ok(field, step)
    if (at === way.length - 1) return field
    const next = schema.getType(String(field.type).replace(/!/g, ''))
    assert.ok(next && 'getInterfaces' in next && 'getFields' in next && !('getPossible' in next))
    type = next as typeof type
  }
  throw new Error('a way has a step')
}

const known: Readonly<Record<string, string>> = { certificates: 'id', auditEvents: 'seq' }

/** The same of GraphQL, whose words differ a little. */
async function queried(way: readonly string[], query: Query): Promise<Page> {
  const last = way.at(-1) ?? ''
  const name = last.replace(/\(.*/, '')
  const types = new Map(fieldAt(way).args.map((each) => [each.name, String(each.type)]))
  const words: Readonly<Record<string, string>> = { limit: 'first', cursor: 'after' }
  const asked = Object.entries(query).map(([key, text]) => {
    const arg = words[key] ?? key
    const type = types.get(arg)
    assert.ok(type, `${name} has no ${arg}`)
    const value = /^(Int|Boolean)$/.test(type)
      ? JSON.parse(text)
      : text.replace(/^-(.*)$/, '$1_DESC')
    return { arg, type, value }
  })
  const given = asked.map(({ arg }) => `${arg}: $${arg}`)
  const own = /\((.*)\)/.exec(last)?.[1]
  const args = [...(own === undefined ? [] : [own]), ...given].join(', ')
  const outer = way.slice(0, -1)
  const body = `${name}(${args}) { items { ${known[name] ?? 'name'} } nextCursor }`
  const text = `query Q(${asked.map(({ arg, type }) => `$${arg}: ${type}`).join(', ')}) {
    ${[...outer, body].join(' { ')} ${'} '.repeat(outer.length)} }`
  const variables = Object.fromEntries(asked.map(({ arg, value }) => [arg, value]))
  const sent = await http.post('/graphql').send({ query: text, variables })
  assert.ok(sent.status === 200 && !sent.body.errors, `${text} ${sent.text}`)
  let found = sent.body.data
  for (const step of [...outer, name]) found = found[step.replace(/\(.*/, '')]
  return found
}

for (const { id, way, beside = {} } of ways) {
  test(`${way.join(' ')} of GraphQL has the filters and orders of ${id}`, async () => {
    const list = lists.find((each) => each.id === id)
    assert.ok(list)
    const paging = new Set(['first', 'after', 'sort', 'tenant', 'groupBy'])
    const own = fieldAt(way).args.flatMap(({ name }) => (paging.has(name) ? [] : [name]))
    const filters = list.filters.filter((name) => !paging.has(name))
    assert.deepEqual(own.toSorted(), filters.toSorted())
    const cases = [...casesOf(list)].flatMap(([name, some]) =>
      some.map(([asked]): Query => ({ [name]: asked })),
    )
    // Each filter and each order once: which go together is REST's to show, whose actions these are.
    const turns = Math.max(cases.length + 1, list.sorts.length)
    for (let turn = 0; turn < turns; turn++) {
      const query = [{}, ...cases][turn % (cases.length + 1)] ?? {}
      const sort = list.sorts[turn % list.sorts.length] ?? ''
      const asked: Query = { ...query, sort }
      // Where it is narrowed twice by one word, what stands beside does not hold.
      if (Object.keys(query).some((name) => name in beside)) continue
      const expected = await page(list, { ...asked, ...beside, limit: '500' })
      const limit = turn % 2 === 0 ? '2' : '500'
      const found = await whole((each) => queried(way, each), { ...asked, limit })
      assert.deepEqual(keysOf(found), keysOf(expected.items), JSON.stringify(asked))
    }
  })
}

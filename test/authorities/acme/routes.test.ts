import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi } from '../../support/api.ts'
import { admin } from '../../support/context.ts'

// Whatever can be asked of an authority is asked of one that is a CA elsewhere: it answers, or refuses in one sentence that says
// what it is, and leaves nothing half made.

const { ctx, http } = await openTestApi({}, { caRanges: ['127.0.0.0/8'] })
const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
await createAuthority(ctx, admin, {
  ...{ name: 'public', kind: 'acme', directory: 'http://127.0.0.1:9/directory' },
  ...{ challenge: { type: 'http-01' }, termsOfServiceAgreed: true },
})
await createTenant(ctx, admin, {
  ...{ name: 'shop', domains: ['shop.test'], namespaces: ['test'], defaultAuthority: 'public' },
})

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
type Row = readonly [Method, string, number, string, object?]
const id = '01a21f74-87c0-76c8-b10e-6794143b9c7a'
const key = '0123456789abcdef'
const keyless = 'authority-keyless'
const shop = '/v1/tenants/shop'
const leaf = { profile: 'server', dnsNames: ['a.shop.test'] }
const v1 = '/v1/authorities'

/** What is asked, and the status and problem of the answer. */
const rows: readonly Row[] = [
  ['get', '/pki/public/ca.crt', 404, 'authority-unknown'],
  ['get', '/pki/public/ca.pem', 404, 'authority-unknown'],
  ['get', `/pki/public/ca/${key}`, 404, 'authority-unknown'],
  ['get', '/pki/public/chains.pem', 404, 'authority-unknown'],
  ['get', '/pki/public/crl', 404, 'authority-unknown'],
  ['get', `/pki/public/crl/${key}/1`, 404, 'list-unknown'],
  // RFC 6960 2.3: who asks nonsense is answered in the words of OCSP.
  ['post', '/pki/public/ocsp', 200, ''],
  ['get', '/pki/public/ocsp/MEIwQDA', 200, ''],
  ['get', '/acme/public/directory', 404, 'malformed'],
  ['get', `${v1}/public`, 200, ''],
  ['get', `${v1}/public/issuers`, 200, ''],
  ['get', `${v1}/public/orders`, 200, ''],
  ['get', `${v1}/public/trust-store`, 404, 'authority-unknown'],
  ['patch', `${v1}/public`, 200, '', { displayName: 'A public CA' }],
  ['patch', `${v1}/public`, 422, 'authority-refused', { maxValidityDays: 3, outlive: 'refuse' }],
  ['patch', `${v1}/public`, 422, 'authority-refused', { approval: 'two-people' }],
  ['patch', `${v1}/public`, 422, 'authority-refused', { listOverflow: 'tell' }],
  ['patch', `${v1}/house`, 422, 'authority-refused', { contact: ['a@shop.test'] }],
  ['post', `${v1}/public/rotate`, 409, keyless, {}],
  ['get', `${v1}/public/rotation`, 404, 'rotation-unknown'],
  ['post', `${v1}/public/rotation/retire`, 404, 'rotation-unknown'],
  ['post', `${v1}/house/account-key/rotate`, 422, 'authority-refused'],
  ['post', `${v1}/public/cross-sign`, 409, keyless, { by: 'house' }],
  ['post', `${v1}/house/cross-sign`, 409, keyless, { by: 'public' }],
  ['post', `${v1}/public/issuers/${id}/revoke`, 404, 'issuer-unknown', { reason: 'superseded' }],
  ['post', `${v1}/public/approvals`, 409, keyless, { action: 'rotate' }],
  ['get', `${v1}/public/approvals`, 200, ''],
  ['get', `${v1}/public/approvals/${id}`, 404, 'approval-unknown'],
  ['post', `${v1}/public/approvals/${id}/approve`, 404, 'approval-unknown'],
  ['post', `${v1}/public/approvals/${id}/reject`, 404, 'approval-unknown'],
  ['post', v1, 409, keyless, { name: 'below', kind: 'intermediate', parent: 'public', subject }],
  ['get', '/v1/certificates?authority=public', 200, ''],
  ['get', '/v1/hosts?authority=public', 200, ''],
  [
    ...(['post', '/v1/replacements', 202, ''] as const),
    { reason: 'tried', where: { authority: 'public' } },
  ],
  ['get', '/v1/tenants?authority=public', 200, ''],
  ['patch', shop, 200, '', { defaultAuthority: 'public' }],
  ['post', `${shop}/acme-keys`, 422, 'request-invalid', { name: 'k', authority: 'public' }],
  ['post', `${shop}/certificates`, 422, 'certificate-refused', leaf],
  [
    ...(['post', `${shop}/certificates`, 422, 'certificate-refused'] as const),
    { ...leaf, profile: 'client', authority: 'public' },
  ],
  ['get', `${shop}/certificates?authority=public`, 200, ''],
  ['get', `${shop}/hosts?authority=public`, 200, ''],
  ['post', `${shop}/certificates:batch`, 200, '', { items: [leaf] }],
]

for (const [method, path, status, problem, body] of rows) {
  test(`${method} ${path} ${body ? Object.keys(body) : ''}: ${status} ${problem}`, async () => {
    const answer = await http[method](path).set('X-Bundle-Password', 'a-password').send(body)
    const text = answer.text ?? ''
    assert.equal(answer.status, status, text)
    assert.equal(
      String(answer.body?.type ?? '')
        .split(/[/:]/)
        .at(-1),
      problem,
      text,
    )
    if (problem === keyless || /^\/(pki|acme)/.test(path)) {
      assert.ok(status === 200 || problem === 'list-unknown' || text.includes('CA elsewhere'), text)
    }
  })
}

test('every route that names an authority is asked', async () => {
  const { paths } = JSON.parse(await readFile('openapi/openapi.json', 'utf8'))
  const asked = rows.map(([method, path]) => `${method} ${path.replace(/\?.*/, '')}`)
  const unasked = Object.entries<object>(paths).flatMap(([path, operations]) => {
    if (!path.includes('{authority}')) return []
    const pattern = path.replaceAll(/\{[^}]+\}/g, '[^/]+')
    return Object.keys(operations)
      .filter((method) => /^(get|post|put|patch|delete)$/.test(method))
      .filter((method) => !asked.some((each) => new RegExp(`^${method} ${pattern}$`).test(each)))
      .map((method) => `${method} ${path}`)
  })
  // Which ends it: see test/acme/client/hosts.test.ts.
  assert.deepEqual(unasked, ['delete /v1/authorities/{authority}'])
})

test('nothing of what was refused is there', async () => {
  const names = await ctx.db.read.authority.findMany({ select: { name: true } })
  assert.deepEqual(names.map(({ name }) => name).toSorted(), ['house', 'public'])
  for (const count of [
    ctx.db.read.acmeKey.count(),
    ctx.db.read.approval.count(),
    ctx.db.read.rotation.count(),
    ctx.db.read.certificate.count(),
    ctx.db.read.issuer.count({ where: { authority: { name: 'public' } } }),
  ]) {
    assert.equal(await count, 0)
  }
})

test('every field of it is answered by GraphQL', async () => {
  const ask = async (query: string) => {
    const { body } = await http.post('/graphql').send({ query })
    assert.equal(body.errors, undefined, JSON.stringify(body.errors))
    return body.data
  }
  const kind = 'kind name ofType { kind name ofType { kind name ofType { kind name } } }'
  const fieldsOf = async (name: string) => {
    const asked = `{ __type(name: "${name}") { fields { name args { name } type { ${kind} } } } }`
    const { __type } = await ask(asked)
    return __type.fields as readonly Field[]
  }
  const selection = async (name: string, depth: number): Promise<string> => {
    const parts: string[] = []
    for (const { name: field, type } of await fieldsOf(name)) {
      const { kind: sort, name: of } = innermost(type)
      if (sort !== 'OBJECT') parts.push(field)
      else if (depth > 0) parts.push(`${field} { ${await selection(of, depth - 1)} }`)
    }
    return parts.length > 0 ? parts.join(' ') : '__typename'
  }
  const { authority } = await ask(
    `{ authority(name: "public") { ${await selection('Authority', 2)} } }`,
  )
  assert.deepEqual([authority.name, authority.kind], ['public', 'acme'])
})

type Kind = { readonly kind: string; readonly name: string; readonly ofType?: Kind }
type Field = { readonly name: string; readonly type: Kind }

function innermost(type: Kind): Kind {
  return type.ofType ? innermost(type.ofType) : type
}

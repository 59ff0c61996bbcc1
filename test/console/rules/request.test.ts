import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { parse } from 'yaml'
import { curlOf, yamlOf } from '../../../console/request/commands.ts'
import { newDraft, newRoute, specOf } from '../../../console/request/draft.ts'

const draft = {
  ...newDraft,
  tenant: 'example',
  name: 'shop.example.com',
  clusters: ['sandbox'],
  routes: [
    { ...newRoute, service: 'shop', namespace: 'test' },
    {
      ...newRoute,
      match: 'exact' as const,
      path: '/hi',
      service: 'hi',
      namespace: 'test',
      port: '81',
    },
  ],
}
const spec = {
  tls: { mode: 'SIMPLE' },
  http: 'redirect',
  routes: [
    { to: { service: 'shop', namespace: 'test', port: 80 } },
    { match: { exact: '/hi' }, to: { service: 'hi', namespace: 'test', port: 81 } },
  ],
  clusters: ['sandbox'],
}

test('what the form does not say is left to the service', () => {
  assert.deepEqual(specOf(draft), spec)
})

test('what the form has no fields for stays as it was', () => {
  const kept = { match: { prefix: '/old' }, redirect: { path: '/new' } }
  const before = {
    ...{ routes: [kept], clusters: ['sandbox'], labels: { app: 'mine' }, owner: 'us' },
    tls: { mode: 'MUTUAL' as const, clients: 'tenant' as const },
    certificate: { authority: 'ca', secretName: 'mine', organization: 'Us' },
  }
  const after = specOf({ ...draft, routes: [{ kept }], mode: 'MUTUAL', authority: 'ca' }, before)
  assert.deepEqual(after.routes, [kept])
  assert.deepEqual(after.labels, { app: 'mine' })
  assert.deepEqual(after.tls, { mode: 'MUTUAL', clients: 'tenant' })
  assert.deepEqual(after.certificate, { authority: 'ca', secretName: 'mine' })
  assert.equal(after.owner, null)
})

const odd = {
  ...specOf(draft),
  owner: "it's: #1",
  labels: { app: 'true', n: '1' },
  contact: '',
  aliases: ['*.shop.example.com'],
}

test('the file says what is asked for, whatever words are in it', () => {
  const { spec: said, metadata } = parse(yamlOf({ tenant: 'example', name: 'x.test', spec: odd }))
  const { labels, ...rest } = odd
  assert.deepEqual(said, rest)
  assert.deepEqual(metadata, { name: 'x.test', tenant: 'example', labels })
})

test('a shell reads the curl line as what is asked for', () => {
  const line = curlOf('https://g.test', { tenant: 'example', name: '*.x.test', spec: odd })
  const script = `curl() { for a in "$@"; do last=$a; done; printf %s "$last"; }; ${line}`
  const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8', env: { TOKEN: 't' } })
  assert.deepEqual(JSON.parse(stdout), odd)
})

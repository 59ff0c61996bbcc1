import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { request as ask } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { buildServer } from '../../../src/api/server.ts'
import { openContext } from '../../../src/core/context.ts'
import { testConfig } from '../../support/context.ts'

// A folder as a build leaves it, served by a process whose database is not there.

const parent = await mkdtemp(join(tmpdir(), 'gatesmith-console-'))
const folder = join(parent, 'console')
const script = 'console.log("x")\n'.repeat(50)
const quiet = { info: () => undefined, warn: () => undefined, error: console.error }
const config = { ...testConfig('postgresql://127.0.0.1:1/none'), consoleFolder: folder }
const ctx = openContext(config, quiet)
const api = await buildServer(ctx)
const base = await api.listen({ host: '127.0.0.1', port: 0 })
after(async () => {
  await api.close()
  await ctx.db.close()
  await rm(parent, { recursive: true })
})

/** As it is written: `fetch` would mend the path. */
function get(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET') {
  return new Promise<{
    readonly status: number
    readonly headers: Readonly<Record<string, string | undefined>>
    readonly body: Buffer
  }>((resolve, reject) => {
    const { hostname, port } = new URL(base)
    const sent = ask({ hostname, port, path, method, headers }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      const told = response.headers as Record<string, string | undefined>
      const { statusCode: status = 0 } = response
      resolve({ status, headers: told, body: Buffer.concat(chunks) })
    })
    sent.on('error', reject)
    sent.end()
  })
}

const everywhere = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

function assertGuarded(headers: Readonly<Record<string, unknown>>, what: string): void {
  const found = Object.keys(everywhere).map((name) => [name, headers[name]])
  assert.deepEqual(Object.fromEntries(found), everywhere, what)
}

test('a console that is not built says how it is', async () => {
  for (const path of ['/console/', '/console/hosts', '/console/assets/x.js']) {
    const { status, body, headers } = await get(path)
    assert.equal(status, 404)
    const { type, detail } = JSON.parse(body.toString())
    assert.match(type, /route-unknown$/)
    assert.match(detail, /npm run build/)
    assertGuarded(headers, path)
    assert.equal(headers['cache-control'], 'no-store')
  }
})

test('then it is', async (t) => {
  await mkdir(join(folder, 'assets'), { recursive: true })
  await writeFile(join(parent, 'secret.txt'), 'secret')
  await writeFile(join(folder, '.env'), 'secret')
  await symlink(join(parent, 'secret.txt'), join(parent, 'link.txt'))
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>console</title>')
  await writeFile(join(folder, 'icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>')
  for (const name of ['main-1a2b3c.js', 'plain-1a2b3c.js']) {
    await writeFile(join(folder, 'assets', name), script)
  }
  await writeFile(join(folder, 'assets/main-1a2b3c.js.br'), brotliCompressSync(script))
  await writeFile(join(folder, 'assets/main-1a2b3c.js.gz'), gzipSync(script))

  await t.test('the page is served wherever no file is named, and never kept unasked', async () => {
    const moved = await get('/console')
    assert.deepEqual([moved.status, moved.headers.location], [308, '/console/'])
    assertGuarded(moved.headers, 'moved')
    const host = ['/console/hosts/shop/www.shop.example', '/console/hosts/shop/*.shop.example']
    for (const path of ['/console/', '/console/hosts?x=1.y', '/console/index.html', ...host]) {
      const { status, headers, body } = await get(path)
      assert.equal(status, 200, path)
      assert.match(body.toString(), /<title>console/)
      assert.equal(headers['content-type'], 'text/html; charset=utf-8')
      assert.equal(headers['cache-control'], 'no-cache')
      assertGuarded(headers, path)
    }
  })

  await t.test('it has an entity tag of what is in it', async () => {
    const { headers, body } = await get('/console/')
    const { etag = '' } = headers
    assert.match(etag, /^"[\w-]{22}"$/)
    for (const sent of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const same = await get('/console/hosts', { 'if-none-match': sent })
      assert.deepEqual([same.status, same.body.length], [304, 0], sent)
      assertGuarded(same.headers, sent)
    }
    assert.equal((await get('/console/', { 'if-none-match': '"other"' })).status, 200)
    const head = await get('/console/', {}, 'HEAD')
    assert.deepEqual(
      [head.status, head.body.length, head.headers.etag, head.headers['content-length']],
      [200, 0, etag, String(body.length)],
    )
    assertGuarded(head.headers, 'HEAD')
    // Of the same length, as builds of the same sources with other file names are.
    await writeFile(join(folder, 'index.html'), '<!doctype html><title>consolE</title>')
    assert.equal((await get('/console/', { 'if-none-match': etag })).status, 200)
  })

  await t.test(
    'files that are named by what is in them are kept for good, others an hour',
    async () => {
      const main = await get('/console/assets/main-1a2b3c.js')
      assert.equal(main.status, 200)
      assert.equal(main.body.toString(), script)
      assert.equal(main.headers['cache-control'], 'public, max-age=31536000, immutable')
      assert.match(main.headers['content-type'] ?? '', /^application\/javascript/)
      assertGuarded(main.headers, 'asset')
      const { etag = '' } = main.headers
      const same = await get('/console/assets/main-1a2b3c.js', { 'if-none-match': etag })
      assert.equal(same.status, 304)
      assertGuarded(same.headers, 'same')
      const head = await get('/console/assets/main-1a2b3c.js', {}, 'HEAD')
      assert.deepEqual([head.status, head.body.length], [200, 0])
      const icon = await get('/console/icon.svg')
      assert.deepEqual([icon.status, icon.headers['cache-control']], [200, 'public, max-age=3600'])
      assert.equal(icon.headers['content-type'], 'image/svg+xml')
    },
  )

  await t.test('what is compressed already is served so to who takes it', async () => {
    const path = '/console/assets/main-1a2b3c.js'
    const coded = async (accepted: string) => {
      const { headers, body } = await get(path, { 'accept-encoding': accepted })
      assert.match(headers.vary ?? '', /accept-encoding/i)
      assert.match(headers['content-type'] ?? '', /^application\/javascript/)
      return { coding: headers['content-encoding'], body }
    }
    const brotli = await coded('gzip, deflate, br')
    assert.equal(brotli.coding, 'br')
    assert.equal(brotliDecompressSync(brotli.body).toString(), script)
    const zipped = await coded('gzip')
    assert.equal(zipped.coding, 'gzip')
    assert.equal(gunzipSync(zipped.body).toString(), script)
    assert.equal((await coded('identity')).coding, undefined)
    const plain = await get('/console/assets/plain-1a2b3c.js', { 'accept-encoding': 'br' })
    assert.deepEqual(
      [plain.headers['content-encoding'], plain.body.toString()],
      [undefined, script],
    )
  })

  await t.test('nothing else is, whatever way its path is written', async () => {
    const paths = [
      ...['/console/../secret.txt', '/console/..%2fsecret.txt', '/console/%2e%2e/secret.txt'],
      ...['/console/assets/../../secret.txt', '/console/..%5csecret.txt', '/console/.env'],
      ...['/console/%2eenv', '/console//etc/passwd.txt', '/console/assets//main-1a2b3c.js'],
      ...['/console/assets/..%2f..%2fsecret.txt', '/console/x%00.js', '/console/assets/gone.js'],
      ...['/console/%2fetc/x.conf', '/console/a.b/../../secret.txt'],
    ]
    for (const path of paths) {
      const { status, body, headers } = await get(path)
      assert.ok(status === 404 || status === 400, `${path}: ${status}`)
      assert.doesNotMatch(body.toString(), /^secret/, path)
      assert.match(headers['content-type'] ?? '', /problem\+json/, path)
      assert.equal(headers['cache-control'], 'no-store', path)
    }
  })

  await t.test(
    'every answer keeps to the policy, also a refusal and a path in other letters',
    async () => {
      const asked = [
        ...([
          ['POST', '/console/'],
          ['DELETE', '/console'],
          ['PUT', '/console/session'],
        ] as const),
        ...([
          ['GET', '/console/gone.js'],
          ['GET', '/%63onsole/'],
          ['GET', '/console/%zz'],
        ] as const),
        ...([
          ['GET', '/%63onsole/assets/main-1a2b3c.js'],
          ['POST', '/console/session'],
        ] as const),
      ]
      for (const [method, path] of asked) {
        assertGuarded((await get(path, {}, method)).headers, `${method} ${path}`)
      }
      const { headers } = await get('/livez')
      assert.equal(headers['content-security-policy'], undefined)
    },
  )
})

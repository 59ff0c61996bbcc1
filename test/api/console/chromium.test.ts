import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import type { Page } from 'playwright-core'
import { makeSignInCode } from '../../../src/tenants/sessions/codes.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { noChromium, openBrowser } from '../../console/browser.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { openFolder } from '../../support/process.ts'

// What a browser makes of cookies, origins and policies is for a browser to say. `localhost` is another site than
// 127.0.0.1; another port of 127.0.0.1 is another origin of the same site.

if (noChromium) test(`in a browser (${noChromium})`, { skip: noChromium }, () => undefined)
else await inBrowser()

async function listen(answer: RequestListener, host: 'localhost' | '127.0.0.1') {
  const server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  after(() => server.close())
  return `http://${host}:${(server.address() as AddressInfo).port}`
}

/** A page of somebody else's. */
const blank: RequestListener = (_, response) => {
  response.setHeader('content-type', 'text/html').end('<!doctype html><title>other</title>')
}

async function inBrowser(): Promise<void> {
  let answer: RequestListener = (_, response) => response.destroy()
  const issuer = await listen((request, response) => answer(request, response), 'localhost')
  const consoleFolder = await openFolder()
  await mkdir(join(consoleFolder, 'assets'))
  await writeFile(join(consoleFolder, 'assets/own-1.js'), 'document.title = "runs"')
  await writeFile(
    join(consoleFolder, 'index.html'),
    `<!doctype html><title>page</title><script>document.title = "inline"</script>
     <script src="/console/assets/own-1.js"></script><a href="/console/oidc/start">in</a>`,
  )
  const { ctx, url } = await openTestApi(
    {},
    {
      consoleFolder,
      oidc: {
        ...{ issuer, audience: 'https://gatesmith.test', algorithms: ['RS256'] },
        ...{ roleClaim: 'groups', tenantClaim: 'team' },
        roles: [{ value: 'platform', role: 'admin', tenant: '*' }],
        console: { clientId: 'console', scope: 'openid' },
      },
    },
  )
  answer = await providerAt(issuer, `${url}/console/oidc/callback`)
  await createTenant(ctx, admin, { name: 'shop', domains: [] })
  const { context } = openBrowser()
  const open = async () => (await context()).newPage()
  const signIn = async (page: Page) => {
    const code = await makeSignInCode(ctx, {
      token: await tokenFor(ctx, 'shop'),
      milliseconds: 60_000,
    })
    await page.goto(`${url}/console/`)
    const { body } = await ask(page, '/console/session', { method: 'POST', json: { code } })
    assert.equal(body.signedIn, true)
    return body.csrfToken
  }

  test('a person goes to the provider, which is another site, and comes back signed in', async () => {
    const page = await open()
    await page.goto(`${url}/console/`)
    await page.getByRole('link', { name: 'in' }).click()
    await page.locator('input[name=login]').fill('ann')
    await page.locator('input[name=password]').fill('x')
    await page.locator('button[type=submit]').click()
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.waitForURL(`${url}/console/`)
    const { body } = await ask(page, '/v1/whoami')
    assert.deepEqual([body.name, body.role], [`${issuer} ann`, 'admin'])
    assert.equal(await page.evaluate('document.cookie'), '')
  })

  test('only what the console is made of runs, and it is shown in no frame', async () => {
    const page = await open()
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    await page.goto(`${url}/console/hosts`)
    assert.equal(await page.title(), 'runs')
    assert.match(complaints.join(), /inline script.*violates.*Content Security Policy/i)
    await page.goto(await listen(blank, '127.0.0.1'))
    await page.setContent(`<iframe src="${url}/console/"></iframe>`)
    await page.waitForTimeout(500)
    const titles = await Promise.all(page.frames().map((frame) => frame.title().catch(() => '')))
    assert.ok(!titles.includes('runs'))
  })

  test('its page changes, follows events and subscribes by the cookie', async () => {
    const page = await open()
    const csrf = await signIn(page)
    const json = { name: 'made', role: 'viewer' }
    const asked = { method: 'POST', json, csrf }
    assert.equal((await ask(page, '/v1/tenants/shop/api-keys', asked)).status, 201)
    assert.equal(await page.evaluate(streams, '/v1/tenants/shop/events'), 'open')
    assert.equal(await page.evaluate(introduces, `${url.replace('http', 'ws')}/graphql`), 'ack')
    await ask(page, '/console/session', { method: 'DELETE', csrf })
    assert.equal((await ask(page, '/v1/whoami')).status, 401)
  })

  test('a page of another site, and one of another port, do nothing by it', async () => {
    const page = await open()
    const csrf = await signIn(page)
    const keys = () => ctx.db.read.apiKey.count()
    const sessions = () => ctx.db.read.session.count()
    const before = [await keys(), await sessions()]
    const code = await makeSignInCode(ctx, {
      token: await tokenFor(ctx, 'shop', 'viewer'),
      milliseconds: 60_000,
    })
    const target = `${url}/v1/tenants/shop/api-keys`
    for (const host of ['localhost', '127.0.0.1'] as const) {
      await page.goto(await listen(blank, host))
      for (const [place, body] of [
        [target, { name: host === 'localhost' ? 'evil-a' : 'evil-b', role: 'admin' }],
        [`${url}/console/session`, { code }],
      ] as const) {
        const text = JSON.stringify(body)
        await page.evaluate(forges, { place, csrf, body: text })
        await submits(page, place, text)
      }
      const address = `${url.replace('http', 'ws')}/graphql`
      assert.equal(await page.evaluate(introduces, address), 4403, host)
      const read = { place: `${url}/v1/whoami`, csrf, body: undefined }
      assert.equal(await page.evaluate(forges, read), 'unread', host)
    }
    // The key that the code is of was made here.
    assert.deepEqual([await keys(), await sessions()], [(before[0] ?? 0) + 1, before[1]])
    await page.goto(`${url}/console/`)
    assert.equal((await ask(page, '/v1/whoami')).body.role, 'admin')
  })
}

async function providerAt(issuer: string, redirectUri: string): Promise<RequestListener> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  return new Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig' }] },
    clients: [
      {
        ...{ client_id: 'console', token_endpoint_auth_method: 'none' },
        ...{ redirect_uris: [redirectUri], application_type: 'native' },
      },
    ],
    claims: { openid: ['sub', 'groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['for tests'] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, groups: ['platform'] }),
    }),
    features: { resourceIndicators: { enabled: false } },
  }).callback()
}

/** Has a page submit a form, whose body is this JSON as far as a form can write it. */
async function submits(page: Page, place: string, json: string): Promise<void> {
  const name = json.slice(0, -1).replaceAll('"', '&quot;')
  const before = page.url()
  await page.setContent(
    `<form method="post" action="${place}" enctype="text/plain"><input name="${name}" value="}"></form>`,
  )
  const answered = page.waitForResponse(place)
  await page.evaluate('document.forms[0].submit()')
  assert.ok((await answered).status() >= 400)
  await page.waitForURL(place)
  await page.goto(before)
}

type Asked = { readonly method?: string; readonly json?: object; readonly csrf?: string }

/** What a page of the console asks by `fetch`, and is answered. */
async function ask(page: Page, path: string, { method = 'GET', json, csrf }: Asked = {}) {
  return page.evaluate(
    async ([path, method, body, csrf]) => {
      const response = await fetch(path ?? '', {
        method: method ?? 'GET',
        headers: {
          ...(body ? { 'content-type': 'application/json' } : {}),
          ...(csrf ? { 'x-csrf-token': csrf } : {}),
        },
        ...(body ? { body } : {}),
      })
      const text = await response.text()
      return { status: response.status, body: text ? JSON.parse(text) : {} }
    },
    [path, method, json && JSON.stringify(json), csrf],
  )
}

// What follows runs in the page.

function streams(path: string): Promise<string> {
  return new Promise((resolve) => {
    const source = new EventSource(path)
    const end = (text: string) => {
      source.close()
      resolve(text)
    }
    source.onopen = () => end('open')
    source.onerror = () => end('refused')
  })
}

function introduces(address: string): Promise<'ack' | number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(address, 'graphql-transport-ws')
    socket.onopen = () => socket.send('{"type":"connection_init"}')
    socket.onclose = ({ code }) => resolve(code)
    socket.onmessage = () => {
      resolve('ack')
      socket.close()
    }
  })
}

/** All the ways in which a page asks another origin for something. */
async function forges({
  place,
  csrf,
  body,
}: {
  readonly place: string
  readonly csrf: string
  readonly body: string | undefined
}): Promise<string> {
  const method = body === undefined ? 'GET' : 'POST'
  const sent = body === undefined ? {} : { body }
  const all = { method, credentials: 'include', ...sent } as const
  const json = { 'content-type': 'application/json' }
  const tries = [
    fetch(place, { ...all, headers: { ...json, 'x-csrf-token': csrf } }),
    fetch(place, { ...all, headers: json }),
    fetch(place, all),
  ]
  const read = await Promise.allSettled(tries)
  await fetch(place, { ...all, mode: 'no-cors' }).catch(() => undefined)
  return read.every(({ status }) => status === 'rejected') ? 'unread' : 'read'
}

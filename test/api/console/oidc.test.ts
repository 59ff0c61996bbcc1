import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, beforeEach, test } from 'node:test'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'
import Provider from 'oidc-provider'
import { buildServer } from '../../../src/api/server.ts'
import type { Config } from '../../../src/core/config.ts'
import { openContext } from '../../../src/core/context.ts'
import { openLogger } from '../../../src/main/logger.ts'
import { minute } from '../../../src/shared/moment.ts'
import { createTenant, removeTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'

// People sign in at a real provider, in whose pages this test is the person with the browser.

let answer: RequestListener = (_, response) => response.destroy()
/** What the provider's own answers are replaced by. */
let instead: RequestListener | undefined
const asked: string[] = []
const server = createServer((request, response) => {
  asked.push(request.url ?? '')
  const taken = instead ?? answer
  taken(request, response)
})
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
after(() => server.close())
const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const audience = 'https://gatesmith.test'

let shift = 0
const now = () => new Date(Date.now() + shift)
beforeEach(() => {
  instead = undefined
})

const lines: string[] = []
const log = openLogger('trace', { write: (line) => void lines.push(line) })
const base = await openTestContext()
await createTenant(base, admin, { name: 'shop', domains: [] })

const secret = 'a-client-secret-of-some-length'
const oidc = {
  ...{ issuer, audience, algorithms: ['RS256'] },
  ...{ roleClaim: 'groups', tenantClaim: 'team' },
  roles: [
    { value: 'platform', role: 'admin' as const, tenant: '*' },
    { value: 'dev', role: 'operator' as const },
  ],
}

/** A server with these settings on the one database, and where it listens. */
async function serve(settings: NonNullable<Config['oidc']>) {
  const ctx = openContext({ ...base.config, oidc: settings }, log, { now })
  const api = await buildServer(ctx, log)
  const url = await api.listen({ host: '127.0.0.1', port: 0 })
  after(async () => {
    await api.close()
    await ctx.db.close()
  })
  return { ctx, url }
}
const console_ = { clientId: 'console', clientSecret: secret, scope: 'openid' }
const { ctx, url } = await serve({ ...oidc, console: console_ })
const forClient = await serve({
  ...{ ...oidc, audience: 'public' },
  console: { clientId: 'public', scope: 'openid groups' },
})
const keysAlone = await serve(oidc)

const { privateKey } = await generateKeyPair('RS256', { extractable: true })
const key = { ...(await exportJWK(privateKey)), kid: 'one', alg: 'RS256', use: 'sig' }
const groups: Readonly<Record<string, object>> = {
  ann: { groups: ['platform'] },
  bob: { groups: ['dev'], team: 'shop' },
  eve: { groups: ['nothing'] },
}
const client = {
  ...{ grant_types: ['authorization_code'], response_types: ['code' as const] },
  application_type: 'native' as const,
}
const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  clients: [
    {
      ...{ ...client, client_id: 'console', client_secret: secret },
      ...{ redirect_uris: [`${url}/console/oidc/callback`] },
      token_endpoint_auth_method: 'client_secret_basic',
    },
    {
      ...{ ...client, client_id: 'public', token_endpoint_auth_method: 'none' },
      ...{ redirect_uris: [`${forClient.url}/console/oidc/callback`] },
    },
  ],
  scopes: ['openid', 'groups'],
  claims: { openid: ['sub'], groups: ['groups', 'team'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ['for tests'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...groups[id] }) }),
  features: {
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        ...{ scope: '', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600 },
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims: (_, token) =>
    ('accountId' in token ? groups[String(token.accountId)] : undefined) as never,
})
answer = provider.callback()

type Step = { readonly url: string; readonly response: Response; readonly page: string }

/** A browser: it keeps cookies by origin, follows redirects, and submits whatever form it is shown `as` somebody. */
function openBrowser(as: string) {
  const jars = new Map<string, Map<string, string>>()
  const jarOf = (place: string) => {
    const { origin } = new URL(place)
    const jar = jars.get(origin) ?? new Map<string, string>()
    jars.set(origin, jar)
    return jar
  }
  const step = async (place: string, init: RequestInit = {}): Promise<Step> => {
    const cookie = [...jarOf(place)].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...init.headers, cookie }
    const response = await fetch(place, { ...init, headers, redirect: 'manual' })
    for (const set of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      if (value === '') jarOf(place).delete(name)
      else jarOf(place).set(name, value)
    }
    return { url: place, response, page: await response.text() }
  }
  /** Goes on until there is nothing to follow, or `until` says so of where it would go. */
  const browse = async (start: string, until = (_: string) => false): Promise<string> => {
    let [next, body]: [string, URLSearchParams | undefined] = [start, undefined]
    for (;;) {
      if (until(next)) return next
      const { response, page } = await step(
        next,
        body === undefined ? {} : { method: 'POST', body },
      )
      const location = response.headers.get('location')
      const [, action] = /<form[^>]*action="([^"]+)"/.exec(page) ?? []
      const inputs = [...page.matchAll(/<input[^>]*name="([^"]+)"(?:[^>]*value="([^"]*)")?/g)]
      const fields = Object.fromEntries(inputs.map(([, name = '', value = '']) => [name, value]))
      if ('login' in fields) fields.login = as
      body = location ? undefined : new URLSearchParams(fields)
      const target = location ?? action
      if (!target) return next
      next = new URL(target, next).href
      if (/\/console\/(?!oidc)/.test(next)) return next
    }
  }
  const cookies = (place: string) => jarOf(place)
  return { step, browse, cookies }
}

const atCallback = (place: string) => place.includes('/console/oidc/callback')
const start = (at = url, returnTo = '/console/hosts?x=1') =>
  `${at}/console/oidc/start?returnTo=${encodeURIComponent(returnTo)}`

/** Where an answer of the callback leads. */
const led = ({ response }: Step) => `${response.status} ${response.headers.get('location')}`
const refused = (type: string) => `303 /console/#signin-refused=${type}`

test('a person signs in at the provider, is who it says there, and comes back to where they were', async () => {
  const browser = openBrowser('ann')
  const begun = await browser.step(start())
  assert.equal(begun.response.status, 302)
  const sent = new URL(begun.response.headers.get('location') ?? '')
  const { state, nonce, code_challenge: challenge, ...rest } = Object.fromEntries(sent.searchParams)
  assert.deepEqual(rest, {
    ...{
      client_id: 'console',
      response_type: 'code',
      scope: 'openid',
      resource: audience,
      audience,
    },
    ...{ redirect_uri: `${url}/console/oidc/callback`, code_challenge_method: 'S256' },
  })
  for (const random of [state, nonce, challenge]) assert.match(random ?? '', /^[\w-]{43}$/)
  const kept = begun.response.headers.getSetCookie()
  assert.equal(kept.length, 1)
  assert.match(
    kept[0] ?? '',
    /^gatesmith-console-oidc=[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/,
  )
  assert.ok(!kept[0]?.includes(state ?? '-'))
  const back = await browser.browse(sent.href, atCallback)
  const done = await browser.step(back)
  assert.equal(led(done), '303 /console/hosts?x=1')
  for (const { response } of [begun, done]) {
    assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none';/)
    assert.equal(response.headers.get('cache-control'), 'no-store')
  }
  const [gone, set] = done.response.headers.getSetCookie()
  assert.match(gone ?? '', /^gatesmith-console-oidc=; .*Max-Age=0$/)
  assert.match(set ?? '', /^gatesmith-console=gsms_[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
  const session = JSON.parse((await browser.step(`${url}/console/session`)).page)
  assert.equal(session.oidc, true)
  assert.equal(Math.round((Date.parse(session.expiresAt) - now().getTime()) / minute), 480)
  const who = JSON.parse((await browser.step(`${url}/v1/whoami`)).page)
  assert.deepEqual(
    [who.kind, who.name, who.role, who.tenant],
    ['oidc', `${issuer} ann`, 'admin', null],
  )
  const { response } = await browser.step(`${url}/v1/tenants`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': session.csrfToken },
    body: JSON.stringify({ name: 'made', domains: [] }),
  })
  assert.equal(response.status, 201)
  const trail = await browser.step(
    `${url}/v1/audit-events?sort=seq&actor=${encodeURIComponent(who.name)}`,
  )
  type Told = {
    readonly action: string
    readonly changes: { readonly by?: string }
    readonly actor: { readonly kind: string }
  }
  const events = JSON.parse(trail.page).items.filter(
    ({ action }: Told) => action !== 'access.signed-in',
  )
  assert.deepEqual(
    events.map(({ action, changes, actor }: Told) => [action, changes.by, actor.kind]),
    [
      ['access.session-opened', 'oidc', 'oidc'],
      ['tenant.created', undefined, 'oidc'],
    ],
  )
  const again = JSON.parse((await keysAloneSession()).page)
  assert.equal(again.oidc, false)
})

const keysAloneSession = () => openBrowser('x').step(`${keysAlone.url}/console/session`)

test('where the access token is none for this service the ID token tells what one may do', async () => {
  const browser = openBrowser('bob')
  const end = await browser.browse(start(forClient.url, '/console/'))
  assert.equal(end, `${forClient.url}/console/`)
  const who = JSON.parse((await browser.step(`${forClient.url}/v1/whoami`)).page)
  assert.deepEqual([who.name, who.role, who.tenant], [`${issuer} bob`, 'operator', 'shop'])
})

test('one comes back to a view of the console, and nowhere else', async () => {
  const places: Readonly<Record<string, string>> = {
    '/console/tenants/shop?a=b': '/console/tenants/shop?a=b',
    '/console/x/../hosts': '/console/hosts',
    'https://evil.test/console/': '/console/',
    '//evil.test/console/': '/console/',
    '/\\evil.test/console/': '/console/',
    '/console/..//evil.test': '/console/',
    '/console/%2e%2e//evil.test': '/console/',
    '/console\\..\\..\\evil.test': '/console/',
    '/\t/evil.test/console/': '/console/',
    'javascript:alert(1)': '/console/',
    '/v1/whoami': '/console/',
    '/consoles/': '/console/',
    '/console/oidc/start': '/console/',
    '/console/session': '/console/',
    '': '/console/',
  }
  const browser = openBrowser('ann')
  for (const [returnTo, wanted] of Object.entries(places)) {
    assert.equal(
      led(await browser.step(await browser.browse(start(url, returnTo), atCallback))),
      `303 ${wanted}`,
      returnTo,
    )
  }
  const long = await browser.step(start(url, `/console/${'x'.repeat(3000)}`))
  assert.equal(long.response.status, 422)
})

test('an answer is taken from the browser that asked, once, and for ten minutes', async () => {
  const browser = openBrowser('ann')
  const back = await browser.browse(start(), atCallback)
  const flow = browser.cookies(url).get('gatesmith-console-oidc') ?? ''
  const stranger = openBrowser('eve')
  assert.equal(led(await stranger.step(back)), refused('credentials-refused'))
  await stranger.step(start())
  assert.equal(led(await stranger.step(back)), refused('credentials-refused'))
  assert.equal(stranger.cookies(url).has('gatesmith-console'), false)
  const attacked = openBrowser('ann')
  const bend = async (change: (place: URL) => void) => {
    const place = new URL(await attacked.browse(start(), atCallback))
    change(place)
    return led(await attacked.step(place.href))
  }
  const params = (set: Readonly<Record<string, string>>) => (place: URL) => {
    for (const [name, value] of Object.entries(set)) place.searchParams.set(name, value)
  }
  for (const set of [
    { state: 'x' },
    { code: 'x' },
    { iss: 'https://evil.test' },
    { error: 'access_denied' },
  ]) {
    assert.equal(await bend(params(set)), refused('credentials-refused'), JSON.stringify(set))
  }
  assert.equal(
    await bend((place) => place.searchParams.delete('state')),
    refused('credentials-refused'),
  )
  assert.equal(attacked.cookies(url).has('gatesmith-console'), false)
  const edited = openBrowser('ann')
  const place = await edited.browse(start(), atCallback)
  edited.cookies(url).set('gatesmith-console-oidc', `${flow.slice(0, -2)}AA`)
  assert.equal(led(await edited.step(place)), refused('credentials-refused'))
  assert.equal(led(await browser.step(back)), '303 /console/hosts?x=1')
  browser.cookies(url).set('gatesmith-console-oidc', flow)
  assert.equal(led(await browser.step(back)), refused('credentials-refused'))
  const slow = await browser.browse(start(), atCallback)
  shift += 10 * minute
  assert.equal(led(await browser.step(slow)), refused('credentials-refused'))
  shift -= 10 * minute
})

test('a session of before is ended, and the new one has another cookie', async () => {
  const browser = openBrowser('ann')
  await browser.browse(start())
  const first = browser.cookies(url).get('gatesmith-console')
  const headers = { cookie: `gatesmith-console=${first}` }
  const asked = async () => (await fetch(`${url}/v1/whoami`, { headers })).status
  assert.equal(await asked(), 200)
  await browser.browse(start())
  assert.notEqual(browser.cookies(url).get('gatesmith-console'), first)
  assert.equal(await asked(), 401)
})

/** What the provider answers for a code is of our making. */
function answerTokens(tokens: (nonce: string) => Promise<object>, nonce: () => string): void {
  instead = async (request, response) => {
    if (!request.url?.startsWith('/token')) return answer(request, response)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ token_type: 'bearer', ...(await tokens(nonce())) }))
  }
}

const signed = (claims: object, by: CryptoKey = privateKey, header: object = {}) => {
  const seconds = Math.floor(Date.now() / 1000)
  const usual = { iss: issuer, sub: 'ann', iat: seconds, exp: seconds + 60, groups: ['platform'] }
  return new SignJWT({ ...usual, ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'one', ...header })
    .sign(by)
}

test('tokens that are not for this browser, this client and this service sign nobody in', async () => {
  const other = await generateKeyPair('RS256')
  const access = () => signed({ aud: audience })
  const id = (nonce: string, claims: object = {}, by?: CryptoKey) =>
    signed({ aud: 'console', nonce, ...claims }, by)
  const cases: Readonly<Record<string, (nonce: string) => Promise<object>>> = {
    'without an ID token': async () => ({ access_token: await access() }),
    'for another browser': async () => ({ access_token: 'x', id_token: await id('other') }),
    'without a nonce': async () => ({
      access_token: 'x',
      id_token: await signed({ aud: 'console' }),
    }),
    'for another client': async (nonce) => ({
      access_token: 'x',
      id_token: await id(nonce, { aud: 'other' }),
    }),
    'of another issuer': async (nonce) => ({
      access_token: 'x',
      id_token: await id(nonce, { iss: 'https://other.test' }),
    }),
    'signed by another key': async (nonce) => ({
      access_token: 'x',
      id_token: await id(nonce, {}, other.privateKey),
    }),
    'over already': async (nonce) => ({ access_token: 'x', id_token: await id(nonce, { exp: 1 }) }),
    'of two subjects': async (nonce) => ({
      access_token: await signed({ aud: audience, sub: 'bob' }),
      id_token: await id(nonce),
    }),
    'with a forged access token': async (nonce) => ({
      access_token: await signed({ aud: audience }, other.privateKey),
      id_token: await id(nonce, { groups: [] }),
    }),
  }
  const attempt = async (tokens: (nonce: string) => Promise<object>) => {
    const browser = openBrowser('ann')
    const begun = await browser.step(start())
    const sent = new URL(begun.response.headers.get('location') ?? '')
    answerTokens(tokens, () => sent.searchParams.get('nonce') ?? '')
    const done = await browser.step(await browser.browse(sent.href, atCallback))
    assert.equal(browser.cookies(url).has('gatesmith-console'), led(done).endsWith('x=1'))
    return led(done)
  }
  const good = async (nonce: string) => ({ access_token: 'opaque', id_token: await id(nonce) })
  assert.equal(await attempt(good), '303 /console/hosts?x=1')
  for (const [what, tokens] of Object.entries(cases)) {
    assert.equal(await attempt(tokens), refused('credentials-refused'), what)
  }
  const nothing = async (nonce: string) => ({
    access_token: 'x',
    id_token: await id(nonce, { groups: [] }),
  })
  assert.equal(await attempt(nothing), refused('forbidden'))
})

test('while the provider is silent one is told so, and API keys go on', async () => {
  const browser = openBrowser('ann')
  const back = await browser.browse(start(), atCallback)
  instead = (request, response) => {
    if (request.url?.startsWith('/token')) response.writeHead(502).end()
    else answer(request, response)
  }
  assert.equal(led(await browser.step(back)), refused('unavailable'))
  const late = await serve({ ...oidc, console: console_ })
  instead = (_, response) => response.writeHead(503).end()
  const before = asked.length
  assert.equal(led(await browser.step(start(late.url))), refused('unavailable'))
  assert.equal(led(await browser.step(start(late.url))), refused('unavailable'))
  assert.equal(asked.length, before + 1)
  instead = undefined
  shift += 6_000
  assert.equal((await browser.step(start(late.url))).response.status, 302)
  shift -= 6_000
})

test('who has nothing to look for here is told so, and the trail too', async () => {
  const browser = openBrowser('eve')
  const done = await browser.step(await browser.browse(start(), atCallback))
  assert.equal(led(done), refused('forbidden'))
  const row = () =>
    ctx.db.read.auditEvent.findFirst({
      where: {
        action: 'access.refused',
        changes: { path: ['route'], equals: '/console/oidc/callback' },
      },
    })
  for (let tries = 0; tries < 50 && !(await row()); tries++)
    await new Promise((done) => setTimeout(done, 100))
  assert.ok(await row())
})

test('a session ends with its tenant, and with the provider of the settings', async () => {
  await createTenant(base, admin, { name: 'gone', domains: [] })
  const id = { aud: 'console', groups: ['dev'], team: 'gone' }
  const browser = openBrowser('ann')
  const begun = await browser.step(start())
  const sent = new URL(begun.response.headers.get('location') ?? '')
  const nonce = sent.searchParams.get('nonce') ?? ''
  answerTokens(
    async () => ({ access_token: 'x', id_token: await signed({ ...id, nonce }) }),
    () => nonce,
  )
  await browser.step(await browser.browse(sent.href, atCallback))
  const statusAt = async (at: string) => {
    const cookie = [...browser.cookies(url)].map((pair) => pair.join('=')).join('; ')
    return (await fetch(`${at}/v1/whoami`, { headers: { cookie } })).status
  }
  assert.equal(await statusAt(url), 200)
  assert.equal(await statusAt(keysAlone.url), 200)
  const elsewhere = await serve({ ...oidc, issuer: 'https://login.test' })
  assert.equal(await statusAt(elsewhere.url), 401)
  await removeTenant(base, admin, 'gone')
  assert.equal(await statusAt(url), 401)
})

test('the log holds no code, no token, no cookie and no secret', async () => {
  const browser = openBrowser('ann')
  const back = new URL(await browser.browse(start(), atCallback))
  const flow = browser.cookies(url).get('gatesmith-console-oidc')
  await browser.step(back.href)
  const session = browser.cookies(url).get('gatesmith-console')
  const text = lines.join('')
  assert.match(text, /\/console\/oidc\/callback/)
  const { code, state } = Object.fromEntries(back.searchParams)
  for (const held of [code, state, flow, session, secret, btoa(`console:${secret}`)]) {
    assert.ok(held !== undefined && held.length > 10)
    assert.ok(!text.includes(held))
  }
  assert.doesNotMatch(text, /eyJ[\w-]{8}|gsms_[\w-]{8}/)
})

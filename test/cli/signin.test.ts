import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import { openTestApi, tokenFor } from '../support/api.ts'
import { openCommandLine } from '../support/commandline.ts'
import { openFolder } from '../support/process.ts'

// Logging in by the device flow at a real provider, in whose pages this test is the person with the browser.

let answer: RequestListener = (_, response) => response.destroy()
const server = createServer((request, response) => answer(request, response))
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
after(() => server.close())
const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const audience = 'https://gatesmith.test'
const { ctx, url } = await openTestApi(
  {},
  {
    oidc: {
      ...{ issuer, audience, algorithms: ['RS256'] },
      ...{ roleClaim: 'gatesmith_role', tenantClaim: 'gatesmith_tenant' },
      roles: [{ value: 'operator', role: 'operator', tenant: '*' }],
    },
  },
)

const { privateKey } = await generateKeyPair('RS256', { extractable: true })
const key = { ...(await exportJWK(privateKey)), kid: 'one', alg: 'RS256', use: 'sig' }
/** Seconds that an access token lives. */
let lifetime = 600
answer = new Provider(issuer, {
  jwks: { keys: [key] },
  clients: [
    {
      ...{ client_id: 'gatesmith', token_endpoint_auth_method: 'none' },
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      ...{ redirect_uris: [], response_types: [], application_type: 'native' },
    },
  ],
  scopes: ['openid', 'offline_access'],
  cookies: { keys: ['for tests'] },
  rotateRefreshToken: true,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    deviceFlow: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        ...{ scope: '', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: lifetime },
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims: () => ({ gatesmith_role: 'operator' }),
}).callback()

const folder = await openFolder()
const config = join(folder, 'config.json')
const gatesmith = openCommandLine(config)

/** A browser that submits whatever form it is shown, `as` whoever is asked for, until there is none. */
async function browse(start: string, as: string): Promise<string> {
  const cookies = new Map<string, string>()
  let [next, body]: [string | undefined, URLSearchParams | undefined] = [start, undefined]
  let page = ''
  while (next !== undefined) {
    const response: Response = await fetch(next, {
      ...(body === undefined ? {} : { method: 'POST', body }),
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      redirect: 'manual',
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      cookies.set(name, value)
    }
    page = await response.text()
    const location = response.headers.get('location')
    const [, form] = /<form([^>]*)>/.exec(page) ?? []
    const [, action] = /action="([^"]+)"/.exec(form ?? '') ?? []
    const inputs = [...page.matchAll(/<input[^>]*name="([^"]+)"(?:[^>]*value="([^"]*)")?/g)]
    const fields = Object.fromEntries(inputs.map(([, name = '', value = '']) => [name, value]))
    if ('login' in fields) fields.login = as
    body = location ? undefined : new URLSearchParams(fields)
    const target: string | null | undefined = location ?? action
    next = target ? new URL(target, next).href : undefined
  }
  return page
}

const kept = async () => JSON.parse(await readFile(config, 'utf8')).contexts
const login = ['login', url, '--oidc', '--name', 'mine']

/** Logs in, and goes where it is told to. */
async function signIn(as: string) {
  let page: Promise<string> | undefined
  const onErr = (text: string) => {
    const [, where] = /^Open (\S+)\n/.exec(text) ?? []
    if (where !== undefined) page = browse(where, as)
  }
  const answered = await gatesmith(login, { onErr })
  assert.match((await page) ?? '', /Sign-in Success/)
  return answered
}

test('a person signs in by a browser elsewhere, and is who the provider says', async () => {
  const { code, out, err } = await signIn('ann')
  assert.equal(code, 0, err)
  assert.match(err, /There it must say [A-Z-]{9}/)
  assert.match(out, new RegExp(`Logged in to ${url} as "${issuer} ann", operator, platform-wide`))
  const who = await gatesmith(['whoami', '-o', 'json'])
  assert.equal(JSON.parse(who.out).name, `${issuer} ann`)
  const { mine } = await kept()
  for (const secret of [mine.token, mine.signIn.refreshToken]) {
    assert.ok(secret.length > 20 && !`${out}${err}${who.out}${who.err}`.includes(secret))
  }
})

test('what has ended is renewed by itself, and kept; when that is over, one is told to log in', async () => {
  lifetime = 20
  await signIn('bob')
  const before = await kept()
  lifetime = 600
  // Twenty seconds are too few to begin with.
  assert.equal((await gatesmith(['get', 'tenants'])).code, 0)
  const after = await kept()
  assert.notEqual(after.mine.token, before.mine.token)
  assert.notEqual(after.mine.signIn.refreshToken, before.mine.signIn.refreshToken)
  assert.equal((await gatesmith(['get', 'tenants'])).code, 0)
  assert.deepEqual(await kept(), after)
  // Of a refresh token that was used already the provider takes all back.
  const old = {
    ...after.mine,
    signIn: { ...before.mine.signIn, expiresAt: '2026-01-01T00:00:00Z' },
  }
  await writeFile(config, JSON.stringify({ current: 'mine', contexts: { mine: old } }))
  const refused = await gatesmith(['get', 'tenants'])
  assert.equal(refused.code, 4)
  assert.match(refused.err, /^gatesmith: http.* does not sign you in: .*\n$/)
})

test('where no provider is trusted, and where the provider does not know the program, it says so', async () => {
  const strange = await gatesmith([...login, '--client-id', 'unheard-of'])
  assert.equal(strange.code, 4)
  assert.match(strange.err, /does not sign you in: .*client/)
  const keyed = { GATESMITH_TOKEN: await tokenFor(ctx, null) }
  const both = await gatesmith([...login, '--token-file', '-'], { env: keyed })
  assert.equal(both.code, 2)
  const plain = await openTestApi()
  const none = await gatesmith(['login', plain.url, '--oidc'])
  assert.equal(none.code, 2)
  assert.match(none.err, /takes no sign-in by OpenID Connect: log in with an API key/)
})

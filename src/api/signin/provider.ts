import type { Configuration, CustomFetch } from 'openid-client'
import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import type { ConsoleClient, Oidc } from '../../core/settings/oidc.ts'
import { minute } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { isRecord } from '../../shared/shape.ts'
import { askProvider } from './json.ts'

// The console as a client of the identity provider: authorization code with PKCE (OpenID Connect Core 3.1, RFC 7636).

/** What a browser brings back: it shows that the answer is to what this browser was sent to ask. */
export type Flow = { readonly state: string; readonly nonce: string; readonly verifier: string }

type Asked = Oidc & { readonly console: ConsoleClient }

/** How long the provider's metadata are used, and how long after a failure they are not asked for again. */
const fresh = 10 * minute
const failedPause = 5_000
const timeoutSeconds = 5

type Cached = { found: Promise<Configuration> | undefined; until: number }

const caches = oncePer((): Cached => ({ found: undefined, until: 0 }))

/** Where a browser is sent to sign in, and what it is to bring back. Throws unavailable. */
export async function beginFlow(
  ctx: Context,
  oidc: Asked,
  redirectUri: string,
): Promise<{ readonly url: string; readonly flow: Flow }> {
  const client = await import('openid-client')
  const config = await provider(ctx, oidc)
  const flow = {
    state: client.randomState(),
    nonce: client.randomNonce(),
    verifier: client.randomPKCECodeVerifier(),
  }
  const url = client.buildAuthorizationUrl(config, {
    ...{ redirect_uri: redirectUri, scope: oidc.console.scope, response_type: 'code' },
    ...{ state: flow.state, nonce: flow.nonce, code_challenge_method: 'S256' },
    code_challenge: await client.calculatePKCECodeChallenge(flow.verifier),
    ...resourceOf(oidc),
  })
  return { url: url.href, flow }
}

/** The tokens for the code that a browser came back with, at `url`. Throws credentials-refused for what is no answer to
 *  this flow, or what the provider refuses; unavailable. */
export async function endFlow(
  ctx: Context,
  oidc: Asked,
  { url, flow }: { readonly url: URL; readonly flow: Flow },
): Promise<{ readonly idToken: string; readonly accessToken: string }> {
  const client = await import('openid-client')
  const config = await provider(ctx, oidc)
  const checks = {
    ...{ expectedState: flow.state, expectedNonce: flow.nonce },
    ...{ pkceCodeVerifier: flow.verifier, idTokenExpected: true },
  }
  try {
    const given = await client.authorizationCodeGrant(config, url, checks, resourceOf(oidc))
    const { id_token: idToken = '', access_token: accessToken } = given
    return { idToken, accessToken }
  } catch (error) {
    if (error instanceof Unanswered) throw unavailable()
    // What else it carries may be what was answered, tokens among it.
    const { code, error: said } = isRecord(error) ? error : {}
    ctx.log.info({ code, said }, 'the identity provider signed nobody in')
    throw new Problem(
      'credentials-refused',
      'Your identity provider did not sign you in: try again',
    )
  }
}

function unavailable(): Problem {
  return new Problem(
    'unavailable',
    'The identity provider does not answer; try again, or use an API key',
    { retryAfterSeconds: failedPause / 1000 },
  )
}

/** The provider did not answer, or not as one who is well. The library hands on errors of this type as they are. */
class Unanswered extends TypeError {}

function reaching(plain: boolean): CustomFetch {
  return async (url, { method, headers, body, signal = AbortSignal.timeout(5_000) }) => {
    const text = body === undefined || body === null ? undefined : String(body)
    const sent = { method, headers, body: text }
    const response = await askProvider(url, sent, { plain, signal }).catch((cause: unknown) => {
      throw new Unanswered('it cannot be reached', { cause })
    })
    if (response.status >= 500) throw new Unanswered(`it answered ${response.status}`)
    return response
  }
}

/** Whom an access token is to be for: RFC 8707, and what providers called it before that; an ID token alone is for the
 *  client. */
function resourceOf({ audience, console: { clientId } }: Asked): Record<string, string> {
  if (audience === clientId) return {}
  return /^https?:/.test(audience) ? { resource: audience, audience } : { audience }
}

async function provider(ctx: Context, oidc: Asked): Promise<Configuration> {
  const cached = caches(ctx)
  const now = ctx.now().getTime()
  if (cached.found === undefined || cached.until <= now || cached.until > now + fresh) {
    cached.until = now + fresh
    cached.found = discover(oidc)
    cached.found.catch((err: unknown) => {
      cached.until = Math.min(cached.until, ctx.now().getTime() + failedPause)
      ctx.log.warn({ err, issuer: oidc.issuer }, 'the identity provider tells nothing of itself')
    })
  }
  return cached.found.catch(() => {
    throw unavailable()
  })
}

async function discover({ issuer, console: own }: Asked): Promise<Configuration> {
  const client = await import('openid-client')
  const plain = issuer.startsWith('http:')
  const reach = reaching(plain)
  const found = await client.discovery(new URL(issuer), own.clientId, undefined, client.None(), {
    [client.customFetch]: reach,
    timeout: timeoutSeconds,
    execute: plain ? [client.allowInsecureRequests] : [],
  })
  if (own.clientSecret === undefined) return found
  const metadata = found.serverMetadata()
  // What goes without saying is Basic (OpenID Connect Discovery 3).
  const { token_endpoint_auth_methods_supported: methods = ['client_secret_basic'] } = metadata
  const auth = methods.includes('client_secret_basic')
    ? client.ClientSecretBasic(own.clientSecret)
    : client.ClientSecretPost(own.clientSecret)
  const config = new client.Configuration(metadata, own.clientId, undefined, auth)
  config.timeout = timeoutSeconds
  config[client.customFetch] = reach
  if (plain) client.allowInsecureRequests(config)
  return config
}

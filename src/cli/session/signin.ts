import Type from 'typebox'
import Value from 'typebox/value'
import { CommandError, exits, type Io } from '../io.ts'

// Signing in as a person, by the device flow of OpenID Connect (RFC 8628): the browser may be on another machine.

/** What a provider gave, kept until it is renewed. The refresh token is used once where the provider wants that. */
export type SignIn = {
  readonly issuer: string
  readonly clientId: string
  readonly audience: string
  readonly refreshToken?: string
  /** When the access token ends, RFC 3339. */
  readonly expiresAt?: string
}

const Metadata = Type.Object({
  authorization_servers: Type.Array(Type.String(), { minItems: 1 }),
  audience: Type.String(),
})

/** An access token is renewed this long before it ends. */
const earlySeconds = 30

type Tokens = { readonly token: string; readonly signIn: SignIn }

/** Signs a person in at the provider that the service names (RFC 9728): says where to go, and waits until it is done
 *  there. Throws one sentence when the service takes no such tokens, or the provider or the person refuses. */
export async function signInByDevice(
  io: Io,
  server: string,
  { clientId, scope }: { readonly clientId: string; readonly scope: string },
): Promise<Tokens> {
  const { issuer, audience } = await metadataOf(io, server)
  const signIn = { issuer, clientId, audience }
  return atProvider(io, signIn, async (client, config) => {
    const asked = await client.initiateDeviceAuthorization(config, {
      scope,
      ...resourceOf(audience),
    })
    const { verification_uri_complete: complete, verification_uri: plain } = asked
    io.err.write(`Open ${complete ?? plain}\n`)
    io.err.write(`There it must say ${asked.user_code}${complete ? '' : ': enter it'}. Waiting …\n`)
    const { signal } = io
    return client.pollDeviceAuthorizationGrant(config, asked, undefined, { signal })
  })
}

/** Another access token, if the kept one has ended or is about to; undefined while it is good. Throws one sentence when
 *  the person has to sign in again. */
export async function renewed(io: Io, signIn: SignIn): Promise<Tokens | undefined> {
  const { audience, refreshToken, expiresAt } = signIn
  if (expiresAt === undefined || Date.parse(expiresAt) - earlySeconds * 1000 > Date.now()) return
  if (refreshToken === undefined) {
    throw new CommandError('You are signed out: gatesmith login again', exits.credentials)
  }
  return atProvider(io, signIn, (client, config) =>
    client.refreshTokenGrant(config, refreshToken, resourceOf(audience)),
  )
}

/** Whom a token is to be for: RFC 8707, and what providers called it before that. */
function resourceOf(audience: string): Record<string, string> {
  return URL.canParse(audience) ? { resource: audience, audience } : { audience }
}

async function metadataOf(io: Io, server: string) {
  const url = `${server}/.well-known/oauth-protected-resource`
  const response = await fetch(url, { signal: io.signal }).catch((error: Error) => {
    throw new CommandError(`${server} cannot be reached: ${reason(error)}`, exits.unavailable)
  })
  const found: unknown = response.ok ? await response.json().catch(() => undefined) : undefined
  if (!Value.Check(Metadata, found)) {
    throw new CommandError(
      `${server} takes no sign-in by OpenID Connect: log in with an API key, without --oidc`,
    )
  }
  return { issuer: found.authorization_servers[0] ?? '', audience: found.audience }
}

type Library = typeof import('openid-client')
type Provider = import('openid-client').Configuration
type Answer = import('openid-client').TokenEndpointResponse

/** Asks the provider for tokens; a refresh token that it does not replace stays. Throws one sentence when it refuses. */
async function atProvider(
  io: Io,
  signIn: SignIn,
  ask: (client: Library, provider: Provider) => Promise<Answer>,
): Promise<Tokens> {
  const { issuer, clientId } = signIn
  const client = await import('openid-client')
  const execute = issuer.startsWith('http://') ? [client.allowInsecureRequests] : []
  const none = client.None()
  try {
    const provider = await client.discovery(new URL(issuer), clientId, undefined, none, { execute })
    return tokensOf(signIn, await ask(client, provider))
  } catch (error) {
    if (io.signal.aborted) throw new CommandError('', exits.interrupted)
    throw new CommandError(`${issuer} does not sign you in: ${reason(error)}`, exits.credentials)
  }
}

function tokensOf(signIn: SignIn, answer: Answer): Tokens {
  const { access_token: token, refresh_token: refreshToken, expires_in: seconds } = answer
  const end = seconds === undefined ? undefined : new Date(Date.now() + seconds * 1000)
  return {
    token,
    signIn: {
      ...signIn,
      ...(refreshToken === undefined ? {} : { refreshToken }),
      ...(end === undefined ? {} : { expiresAt: end.toISOString() }),
    },
  }
}

/** What a provider says in its own words (RFC 6749 5.2), or what kept it from saying so. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if ('error_description' in error) return String(error.error_description)
  if ('error' in error) return String(error.error)
  return error.cause instanceof Error ? error.cause.message : error.message
}

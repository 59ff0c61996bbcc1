import { createHash } from 'node:crypto'
import { decodeJwt, jwtVerify } from 'jose'
import Value from 'typebox/value'
import { type Actor, systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { Grant, Oidc } from '../../core/settings/oidc.ts'
import { Problem } from '../../shared/problem.ts'
import { Name } from '../../shared/schema.ts'
import { isRecord } from '../../shared/shape.ts'
import { accessTenant } from '../../tenants/access.ts'
import type { Api } from '../api.ts'
import { providerKeys } from './keys.ts'

/** How far the provider's clock may be from ours. */
const skewSeconds = 30

/** Whether a bearer token is signed by somebody: three parts in base64url (RFC 7515 7.1). Those of API keys have one. */
export function isSigned(token: string): boolean {
  return /^[\w-]{1,1024}\.[\w-]+\.[\w-]+$/.test(token)
}

/** Who the bearer of a provider's token is: the subject, with the role and of the tenant that its claims tell. Throws
 *  credentials-refused for what is not signed by one of its keys, for this service and this time; forbidden where
 *  its claims open nothing here; unavailable while the keys cannot be read. */
export async function signIn(
  ctx: Context,
  oidc: Oidc,
  { token, requestId }: { readonly token: string; readonly requestId: string },
): Promise<Actor> {
  return actorOf(ctx, oidc, { claims: await verified(ctx, oidc, { token }), requestId })
}

/** What a provider gave for a code: an ID token for the client that asked, and an access token of any form. */
type Given = { readonly idToken: string; readonly accessToken: string; readonly clientId: string }

/** Who signed in at the provider. What that one may do is told by the access token where it is one for this service, as of
 *  whoever bears it, else by the ID token. Throws as signIn does. */
export async function signInPerson(
  ctx: Context,
  oidc: Oidc,
  { idToken, accessToken, clientId, requestId }: Given & { readonly requestId: string },
): Promise<Actor> {
  const person = await verified(ctx, oidc, { token: idToken, audience: clientId })
  const claims = isFor(accessToken, oidc.audience)
    ? await verified(ctx, oidc, { token: accessToken })
    : person
  if (claims.sub !== person.sub) throw refusal(ctx, { claim: 'sub' })
  return actorOf(ctx, oidc, { claims, requestId })
}

/** Whether a token says so; nobody has looked whether it is true. */
function isFor(token: string, audience: string): boolean {
  if (!isSigned(token)) return false
  try {
    return [decodeJwt(token).aud].flat().includes(audience)
  } catch {
    return false
  }
}

async function actorOf(
  ctx: Context,
  oidc: Oidc,
  { claims, requestId }: { readonly claims: Claims; readonly requestId: string },
): Promise<Actor> {
  const { iss, sub, exp } = claims
  if (!/^[\x20-\x7e]{1,255}$/.test(sub)) throw refusal(ctx, { claim: 'sub' })
  const { role, tenant } = grantIn(oidc, claims)
  return {
    kind: 'oidc',
    id: idOf(iss, sub),
    name: `${iss} ${sub}`,
    role,
    tenantId: tenant === '*' ? null : await tenantIdOf(ctx, tenant),
    requestId,
    expiresAt: new Date(exp * 1000).toISOString(),
  }
}

type Claims = Readonly<Record<string, unknown>> & {
  readonly iss: string
  readonly sub: string
  readonly exp: number
}

/** What is signed: by an algorithm of the settings, never one of the token's choice (RFC 8725 3.1), for us, and
 *  not for long. */
async function verified(
  ctx: Context,
  oidc: Oidc,
  { token, audience = oidc.audience }: { readonly token: string; readonly audience?: string },
): Promise<Claims> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, providerKeys(ctx, oidc), {
      ...{ issuer: oidc.issuer, audience, algorithms: [...oidc.algorithms] },
      ...{ clockTolerance: skewSeconds, currentDate: ctx.now() },
      requiredClaims: ['iss', 'sub', 'aud', 'exp'],
    })
    const { iss, sub, exp, cnf } = payload
    // Tokens of other kinds say so (RFC 8725 3.11), and those that are bound to a key are no bearer's (RFC 7800).
    if (!/^(application\/)?(at\+)?jwt$/i.test(protectedHeader.typ ?? 'JWT') || cnf !== undefined) {
      throw refusal(ctx, { claim: cnf === undefined ? 'typ' : 'cnf' })
    }
    if (iss === undefined || sub === undefined || exp === undefined) throw refusal(ctx, {})
    return { ...payload, iss, sub, exp }
  } catch (error) {
    if (error instanceof Problem) throw error
    throw refusal(ctx, isRecord(error) ? { code: error.code, claim: error.claim } : {})
  }
}

/** Why is told to those who run it alone: nobody learns by trying. */
function refusal(ctx: Context, why: { readonly code?: unknown; readonly claim?: unknown }) {
  ctx.log.info(why, 'a token of OpenID Connect was refused')
  return new Problem('credentials-refused', 'Send a token that is in force, or have a new one made')
}

/** What the first of the grants opens whose value the role claim has. Throws forbidden. */
function grantIn(oidc: Oidc, claims: Claims): { role: Grant['role']; tenant: string } {
  const values = textsOf(claimAt(claims, oidc.roleClaim))
  const grant = oidc.roles.find(({ value }) => values.includes(value))
  if (!grant) {
    throw new Problem('forbidden', `The claim "${oidc.roleClaim}" of your token opens nothing here`)
  }
  if (grant.tenant !== undefined) return { role: grant.role, tenant: grant.tenant }
  const [tenant, ...more] = textsOf(claimAt(claims, oidc.tenantClaim))
  if (tenant !== undefined && more.length === 0) return { role: grant.role, tenant }
  throw new Problem(
    'forbidden',
    `The claim "${oidc.tenantClaim}" of your token names no one tenant`,
  )
}

/** A claim by its name, or by a JSON Pointer (RFC 6901). */
function claimAt(claims: Claims, place: string): unknown {
  const names = place.startsWith('/')
    ? place
        .slice(1)
        .split('/')
        .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    : [place]
  return names.reduce<unknown>(
    (value, name) => (isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined),
    claims,
  )
}

function textsOf(claim: unknown): readonly string[] {
  const all: readonly unknown[] = Array.isArray(claim) ? claim : [claim]
  return all.filter((each) => typeof each === 'string')
}

/** Throws forbidden for a tenant that is not here. */
async function tenantIdOf(ctx: Context, name: string): Promise<string> {
  if (!Value.Check(Name, name)) throw unknownTenant()
  try {
    const access = { name, permission: 'read' } as const
    return (await accessTenant(ctx, systemActor('sign-in'), access)).id
  } catch (error) {
    if (!(error instanceof Problem) || error.type !== 'tenant-unknown') throw error
    throw unknownTenant()
  }
}

function unknownTenant(): Problem {
  return new Problem('forbidden', 'Your token names a tenant that is not here')
}

/** One id for each subject of an issuer, always the same: a UUID of our own making (RFC 9562 5.8). */
function idOf(issuer: string, subject: string): string {
  const hex = createHash('sha256')
    .update(JSON.stringify([issuer, subject]))
    .digest('hex')
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join('-')
}

/** Where bearer tokens for this service come from, without a token: OAuth 2.0 Protected Resource Metadata (RFC 9728 2),
 *  and beside it the audience that tokens must name. */
export function resourceMetadata(api: Api, { issuer, audience }: Oidc): void {
  api.get('/.well-known/oauth-protected-resource', async ({ protocol, host }) => ({
    resource: `${protocol}://${host}`,
    authorization_servers: [issuer],
    bearer_methods_supported: ['header'],
    audience,
  }))
}

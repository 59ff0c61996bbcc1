import { Role } from '../../shared/schema.ts'
import { type Env, listOf, SettingError } from './environment.ts'
import { secretOf } from './secrets.ts'

/** What a value of the role claim opens: a role, of the tenant that the tenant claim names, or of this one. */
export type Grant = { readonly value: string; readonly role: Role; readonly tenant?: string }

/** Whose bearer tokens are taken (OpenID Connect), and what is made of their claims. */
export type Oidc = {
  readonly issuer: string
  readonly audience: string
  readonly algorithms: readonly string[]
  /** The name of a claim, or a JSON Pointer into the claims (RFC 6901). */
  readonly roleClaim: string
  readonly tenantClaim: string
  /** The first whose value the role claim has counts. */
  readonly roles: readonly Grant[]
  /** As whom the console signs people in there; not set: it does not. */
  readonly console?: ConsoleClient
}

/** A client that the provider knows. Its secret is never printed; one without is a public client. */
export type ConsoleClient = {
  readonly clientId: string
  readonly clientSecret?: string
  /** By blanks, openid among them. */
  readonly scope: string
}

/** By which tokens may be signed: public keys alone, so that nobody signs with what we verify by (RFC 8725 3.1). */
const algorithms: ReadonlySet<string> = new Set(
  ['RS', 'PS', 'ES']
    .flatMap((each) => ['256', '384', '512'].map((bits) => each + bits))
    .concat('EdDSA'),
)

/** Whose bearer tokens are taken; undefined: nobody's. Throws SettingError. */
export function oidcOf(env: Env): Oidc | undefined {
  const { GATESMITH_OIDC_ISSUER: issuer, GATESMITH_OIDC_AUDIENCE: audience } = env
  if (issuer === undefined || audience === undefined) {
    const set = Object.keys(env).find((name) => name.startsWith('GATESMITH_OIDC_'))
    if (set === undefined) return undefined
    throw new SettingError(`${set} needs both GATESMITH_OIDC_ISSUER and GATESMITH_OIDC_AUDIENCE`)
  }
  const plain = issuer.startsWith('http:')
  if (plain && !/^(localhost|127\.0\.0\.1|\[::1\])$/.test(new URL(issuer).hostname)) {
    throw new SettingError('GATESMITH_OIDC_ISSUER: without TLS it must be on this machine')
  }
  const asked = listOf(env.GATESMITH_OIDC_ALGORITHMS ?? 'RS256')
  const strange = asked.find((each) => !algorithms.has(each))
  if (strange !== undefined || asked.length === 0) {
    const all = [...algorithms].join(', ')
    throw new SettingError(`GATESMITH_OIDC_ALGORITHMS: ${strange} is none of ${all}`)
  }
  return {
    ...{ issuer, audience, algorithms: asked },
    roleClaim: env.GATESMITH_OIDC_ROLE_CLAIM ?? 'gatesmith_role',
    tenantClaim: env.GATESMITH_OIDC_TENANT_CLAIM ?? 'gatesmith_tenant',
    roles: listOf(env.GATESMITH_OIDC_ROLES ?? usualRoles).map(grantOf),
    ...consoleOf(env),
  }
}

function consoleOf(env: Env): { readonly console?: ConsoleClient } {
  const {
    GATESMITH_OIDC_CONSOLE_CLIENT_ID: clientId,
    GATESMITH_OIDC_CONSOLE_SCOPE: scope = 'openid',
  } = env
  const clientSecret = secretOf(env, 'GATESMITH_OIDC_CONSOLE_CLIENT_SECRET')
  if (clientId === undefined) {
    const set = Object.keys(env).find((name) => name.startsWith('GATESMITH_OIDC_CONSOLE_'))
    if (set === undefined) return {}
    throw new SettingError(`${set} needs GATESMITH_OIDC_CONSOLE_CLIENT_ID`)
  }
  if (!scope.split(' ').includes('openid')) {
    throw new SettingError('GATESMITH_OIDC_CONSOLE_SCOPE: openid must be in it')
  }
  return { console: { clientId, scope, ...(clientSecret === undefined ? {} : { clientSecret }) } }
}

const usualRoles = 'admin=admin,operator=operator,auditor=auditor,viewer=viewer'

/** `value=role`, with `@tenant` or not; a value may have any sign in it but a comma. */
function grantOf(text: string): Grant {
  const [, value = '', name, tenant] = /^(.+)=([a-z]+)(?:@(\*|[a-z0-9-]{1,63}))?$/.exec(text) ?? []
  const role = Role.enum.find((each) => each === name)
  if (role) return { value, role, ...(tenant === undefined ? {} : { tenant }) }
  throw new SettingError(
    `GATESMITH_OIDC_ROLES: ${text} is not value=role, value=role@tenant or value=role@*, with a role of ${Role.enum.join(', ')}`,
  )
}

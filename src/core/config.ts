import { readFileSync } from 'node:fs'
import Type from 'typebox'
import Value from 'typebox/value'
import { Role } from '../shared/schema.ts'
import { ipBytes, rangeBytes } from '../x509/names/ip.ts'

const Count = Type.String({ pattern: '^(0|[1-9][0-9]{0,7})$' })

const Environment = Type.Object({
  DATABASE_URL: Type.Optional(Type.String({ pattern: '^postgres(ql)?://' })),
  GATESMITH_DATABASE_DIRECT_URL: Type.Optional(Type.String({ pattern: '^postgres(ql)?://' })),
  GATESMITH_SEALING_KEY: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$' })),
  GATESMITH_SEALING_KEY_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_SEALING_KEYS_FORMER: Type.Optional(
    Type.String({ pattern: '^[A-Za-z0-9+/]{43}=(\\s*,\\s*[A-Za-z0-9+/]{43}=)*$' }),
  ),
  GATESMITH_SEALING_KEYS_FORMER_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_PKCS11_MODULE: Type.Optional(Type.String({ pattern: '^/' })),
  GATESMITH_PKCS11_TOKEN: Type.Optional(Type.String({ minLength: 1, maxLength: 32 })),
  GATESMITH_PKCS11_PIN: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_PKCS11_PIN_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_HOST: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_PORT: Type.Optional(Type.String({ pattern: '^[0-9]{1,5}$' })),
  GATESMITH_PUBLIC_URL: Type.Optional(Type.String({ pattern: '^https?://' })),
  GATESMITH_TRUSTED_PROXIES: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_API_KEY_DAYS: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,4}$' })),
  GATESMITH_OIDC_ISSUER: Type.Optional(
    Type.String({ pattern: '^https?://[^\\s?#@]+$', maxLength: 255 }),
  ),
  GATESMITH_OIDC_AUDIENCE: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  GATESMITH_OIDC_ALGORITHMS: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_OIDC_ROLE_CLAIM: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  GATESMITH_OIDC_TENANT_CLAIM: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  GATESMITH_OIDC_ROLES: Type.Optional(Type.String({ minLength: 1, maxLength: 65_536 })),
  GATESMITH_TLS_PORT: Type.Optional(Type.String({ pattern: '^[0-9]{1,5}$' })),
  GATESMITH_TLS_CERT_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_TLS_KEY_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_CLIENT_CERT_HEADER: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' })),
  GATESMITH_APPROVAL: Type.Optional(Type.Enum(['one-person', 'two-people'])),
  GATESMITH_RATE_KEY: Type.Optional(Count),
  GATESMITH_RATE_TENANT: Type.Optional(Count),
  GATESMITH_RATE_ADDRESS: Type.Optional(Count),
  GATESMITH_RATE_FAILURES: Type.Optional(Count),
  GATESMITH_QUOTA_HOSTS: Type.Optional(Count),
  GATESMITH_QUOTA_CERTIFICATES_PER_DAY: Type.Optional(Count),
  GATESMITH_QUOTA_DELIVERIES: Type.Optional(Count),
  GATESMITH_QUOTA_API_KEYS: Type.Optional(Count),
  GATESMITH_QUOTA_REVOCATIONS_PER_DAY: Type.Optional(Count),
  GATESMITH_QUOTA_REPLACEMENTS_PER_DAY: Type.Optional(Count),
  GATESMITH_HOST_ANNOTATIONS: Type.Optional(
    Type.String({ pattern: '^([a-z0-9.-]+/[A-Za-z0-9_.-]*(\\s*,\\s*)?)*$', maxLength: 4096 }),
  ),
  GATESMITH_NOTICE_RANGES: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_SMTP_URL: Type.Optional(Type.String({ pattern: '^smtps?://[^\\s/]+/?$' })),
  GATESMITH_SMTP_FROM: Type.Optional(Type.String({ pattern: '^[^\\s@]+@[^\\s@]+$' })),
  GATESMITH_SIEM_WEBHOOK_URL: Type.Optional(Type.String({ pattern: '^https?://[^\\s@?#]+$' })),
  GATESMITH_SIEM_WEBHOOK_SECRET: Type.Optional(
    Type.String({ pattern: '^whsec_[A-Za-z0-9+/]{32,}={0,2}$' }),
  ),
  GATESMITH_SIEM_WEBHOOK_SECRET_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_SIEM_SYSLOG_URL: Type.Optional(
    Type.String({
      pattern: '^(tls|tcp)://[^\\s/@:]+:[0-9]{1,5}$|^(tls|tcp)://\\[[0-9a-f:]+\\]:[0-9]{1,5}$',
    }),
  ),
  GATESMITH_SIEM_SYSLOG_CA_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_DATABASE_POOL: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,2}$' })),
  GATESMITH_METRICS_HOST: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_METRICS_PORT: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,4}$' })),
  OTEL_SDK_DISABLED: Type.Optional(Type.String()),
  OTEL_TRACES_EXPORTER: Type.Optional(Type.String()),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(Type.String()),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Type.Optional(Type.String()),
  OTEL_EXPORTER_OTLP_PROTOCOL: Type.Optional(Type.String()),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: Type.Optional(Type.String()),
  OTEL_TRACES_SAMPLER: Type.Optional(Type.String()),
  OTEL_TRACES_SAMPLER_ARG: Type.Optional(Type.String()),
  GATESMITH_LOG_LEVEL: Type.Optional(
    Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
  ),
})

/** How a token is reached (PKCS#11). The PIN is never printed. */
export type Pkcs11 = {
  readonly module: string
  readonly token?: string | undefined
  readonly pin: string
}

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
}

/** Requests a minute that a process answers; 0: as many as come. */
export type Rates = {
  /** Of one API key. */
  readonly key: number
  /** Of all API keys of one tenant. */
  readonly tenant: number
  /** Of one address, whoever it is. */
  readonly address: number
  /** Tokens from one address that are refused. */
  readonly failures: number
}

/** Where the audit trail is forwarded to. The secret is never printed. */
export type Siem = {
  readonly webhook?: { readonly url: string; readonly secret: string }
  /** `ca`: PEM, instead of the roots that Node knows. */
  readonly syslog?: { readonly url: string; readonly ca?: string }
}

/** That traces are sent, and of which requests and jobs. */
export type Traces = {
  readonly sampler: (typeof samplers)[number]
  /** Of the traces that begin here, for the samplers that take a part of them; 0 to 1. */
  readonly ratio: number
}

/** As OpenTelemetry names them (OTEL_TRACES_SAMPLER). */
const samplers = [
  ...(['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'] as const),
  ...(['always_on', 'always_off', 'traceidratio'] as const),
] as const

/** How much of each a tenant may have. */
export type QuotaDefaults = {
  readonly hosts: number
  readonly certificatesPerDay: number
  readonly deliveries: number
  readonly apiKeys: number
  readonly revocationsPerDay: number
  readonly replacementsPerDay: number
}

/** What holds where nothing is set. */
export const defaultQuotas: QuotaDefaults = {
  hosts: 10_000,
  certificatesPerDay: 1_000_000,
  deliveries: 1_000,
  apiKeys: 1_000,
  revocationsPerDay: 5_000,
  replacementsPerDay: 100,
}

/** What holds where nothing is set. */
export const defaultRates: Rates = {
  key: 60_000,
  tenant: 120_000,
  address: 600_000,
  failures: 6_000,
}

/** The settings of one process. */
export type Config = {
  readonly databaseUrl: string
  /** The same database past a pooler that `databaseUrl` leads to; not set: there is none. */
  readonly databaseDirectUrl?: string | undefined
  readonly databasePool: number
  /** 32 octets; never printed. */
  readonly sealingKey: Buffer
  /** Keys that secrets may still be sealed under, see `gatesmith rewrap`. */
  readonly formerSealingKeys?: readonly Buffer[]
  /** The token in which CA keys may live; without it, they are sealed in the database. */
  readonly pkcs11?: Pkcs11 | undefined
  readonly host: string
  readonly port: number
  /** Where clients and relying parties reach this service; goes into issued certificates (CRL, OCSP). */
  readonly publicUrl: string
  readonly rates: Rates
  /** For how many days an API key is good at most; not set: for good. */
  readonly apiKeyDays?: number | undefined
  /** Who else than API keys signs in; not set: nobody. */
  readonly oidc?: Oidc | undefined
  /** Where the API is served over TLS too, and asks for client certificates; not set: nowhere. */
  readonly tls?: { readonly port: number; readonly cert: string; readonly key: string } | undefined
  /** In which header trusted proxies tell the client certificate that they were shown; not set: in none. */
  readonly clientCertHeader?: string | undefined
  /** Whether two people decide about changes of every authority's key; not set: where the authority says so. */
  readonly approval?: 'one-person' | 'two-people' | undefined
  /** What a tenant may have that has no quotas of its own (src/tenants/quotas/limits.ts). */
  readonly quotas: QuotaDefaults
  /** Addresses and ranges whose word on whom they ask for (X-Forwarded-For) is taken. */
  readonly trustedProxies: readonly string[]
  /** Which annotations hosts may ask for; not set: those of external-dns. */
  readonly annotations?: readonly string[] | undefined
  /** Addresses and ranges of private networks that notices may be posted to. */
  readonly noticeRanges: readonly string[]
  /** How mail is sent; never printed, since the URL may hold a password. */
  readonly smtp?: { readonly url: string; readonly from: string } | undefined
  readonly siem?: Siem
  /** Where /metrics is served; not set: nowhere. */
  readonly metrics?: { readonly host: string; readonly port: number } | undefined
  /** Not set: nothing is traced. */
  readonly traces?: Traces | undefined
  readonly logLevel: string
  readonly development: boolean
}

/** Where sessions of our own lead to: what holds locks, hears what is told (LISTEN) or migrates goes through no pooler. */
export function directUrl({ databaseUrl, databaseDirectUrl }: Config): string {
  return databaseDirectUrl ?? databaseUrl
}

/** What each setting is for; `gatesmith serve --help` prints it. */
export const settings = [
  ['DATABASE_URL', 'PostgreSQL 15 or later, postgres://user:password@host:port/database'],
  [
    'GATESMITH_DATABASE_DIRECT_URL',
    'the same database past a pooler such as PgBouncer, where DATABASE_URL leads to one (DATABASE_URL)',
  ],
  [
    'GATESMITH_SEALING_KEY',
    '32 random octets in base64 (openssl rand -base64 32); seals secrets at rest',
  ],
  ['GATESMITH_SEALING_KEY_FILE', 'a file that holds that key, instead of the variable'],
  [
    'GATESMITH_SEALING_KEYS_FORMER',
    'further keys that open what they sealed, by comma: for a change of key (gatesmith rewrap --help)',
  ],
  ['GATESMITH_SEALING_KEYS_FORMER_FILE', 'a file that holds those keys, one to a line'],
  ['GATESMITH_PKCS11_MODULE', 'library of a token for CA keys (an absolute path), if there is one'],
  ['GATESMITH_PKCS11_TOKEN', 'label of the token (the only one there is)'],
  ['GATESMITH_PKCS11_PIN', 'PIN of the token’s user'],
  ['GATESMITH_PKCS11_PIN_FILE', 'a file that holds that PIN, instead of the variable'],
  ['GATESMITH_HOST', 'address to listen on (0.0.0.0)'],
  ['GATESMITH_PORT', 'port to listen on (4000)'],
  ['GATESMITH_PUBLIC_URL', 'URL under which relying parties reach /pki (http://localhost:<port>)'],
  [
    'GATESMITH_TRUSTED_PROXIES',
    'addresses or ranges of proxies whose X-Forwarded-For is believed, by comma (none)',
  ],
  [
    'GATESMITH_API_KEY_DAYS',
    'days that a new or rotated API key is good at most, and is where it asks for no end (for good)',
  ],
  [
    'GATESMITH_OIDC_ISSUER',
    'issuer of OpenID Connect whose bearer tokens are taken, https://… (none)',
  ],
  ['GATESMITH_OIDC_AUDIENCE', 'audience that such a token must name'],
  ['GATESMITH_OIDC_ALGORITHMS', 'algorithms that it may be signed by, by comma (RS256)'],
  [
    'GATESMITH_OIDC_ROLE_CLAIM',
    'claim that tells the role, or a JSON Pointer to it, such as /realm_access/roles (gatesmith_role)',
  ],
  [
    'GATESMITH_OIDC_TENANT_CLAIM',
    'claim that names the tenant, or a JSON Pointer to it; * in it: platform-wide (gatesmith_tenant)',
  ],
  [
    'GATESMITH_OIDC_ROLES',
    'what values of the role claim open, by comma, the first that fits: value=role, of the tenant that the tenant claim names; value=role@tenant; value=role@*, platform-wide (admin=admin,operator=operator,auditor=auditor,viewer=viewer)',
  ],
  [
    'GATESMITH_TLS_PORT',
    'a further port, over TLS, where client certificates open API keys (none)',
  ],
  [
    'GATESMITH_TLS_CERT_FILE',
    'certificate and chain for that port, PEM; read again every ten minutes',
  ],
  ['GATESMITH_TLS_KEY_FILE', 'private key for that port, PEM'],
  [
    'GATESMITH_CLIENT_CERT_HEADER',
    'header in which a proxy of GATESMITH_TRUSTED_PROXIES, and nobody else, tells the client certificate: Client-Cert (RFC 9440), or URL-encoded PEM (none)',
  ],
  [
    'GATESMITH_APPROVAL',
    'two-people: one asks for a change of the key of any authority, another approves it (as each authority says)',
  ],
  ['GATESMITH_RATE_KEY', 'requests a minute of one API key, in each process; 0: no limit (60000)'],
  ['GATESMITH_RATE_TENANT', 'requests a minute of all API keys of a tenant; 0: no limit (120000)'],
  [
    'GATESMITH_RATE_ADDRESS',
    'requests a minute of one address, /pki included; 0: no limit (600000)',
  ],
  ['GATESMITH_RATE_FAILURES', 'refused API keys a minute of one address; 0: no limit (6000)'],
  ['GATESMITH_QUOTA_HOSTS', 'hosts of a tenant that has no quota of its own (10000)'],
  [
    'GATESMITH_QUOTA_CERTIFICATES_PER_DAY',
    'certificates that such a tenant may order in a day (1000000)',
  ],
  ['GATESMITH_QUOTA_DELIVERIES', 'deliveries of such a tenant (1000)'],
  ['GATESMITH_QUOTA_API_KEYS', 'API keys of such a tenant (1000)'],
  ['GATESMITH_QUOTA_REVOCATIONS_PER_DAY', 'revocations of such a tenant in a day (5000)'],
  ['GATESMITH_QUOTA_REPLACEMENTS_PER_DAY', 'replacements that such a tenant orders in a day (100)'],
  [
    'GATESMITH_HOST_ANNOTATIONS',
    'annotations that hosts may ask for on their Gateways, by comma; what ends in / or - is a beginning (external-dns.alpha.kubernetes.io/)',
  ],
  [
    'GATESMITH_NOTICE_RANGES',
    'addresses or ranges of private networks that notices and the audit trail may be sent to, also without TLS, by comma (none)',
  ],
  ['GATESMITH_SMTP_URL', 'server that mail is sent by, smtp:// or smtps://user:password@host:port'],
  ['GATESMITH_SMTP_FROM', 'address that mail comes from'],
  [
    'GATESMITH_SIEM_WEBHOOK_URL',
    'where the audit trail is posted, in order and signed (Standard Webhooks)',
  ],
  ['GATESMITH_SIEM_WEBHOOK_SECRET', 'whsec_ and base64 of 24 octets or more, to sign with'],
  ['GATESMITH_SIEM_WEBHOOK_SECRET_FILE', 'a file that holds that secret, instead of the variable'],
  [
    'GATESMITH_SIEM_SYSLOG_URL',
    'where the audit trail is sent as syslog, tls://host:port, or tcp:// in GATESMITH_NOTICE_RANGES',
  ],
  ['GATESMITH_SIEM_SYSLOG_CA_FILE', 'PEM of whom to trust there (the roots that Node knows)'],
  ['GATESMITH_DATABASE_POOL', 'database connections of this process (10)'],
  ['GATESMITH_METRICS_PORT', 'port of this process for /metrics, without a token (none)'],
  ['GATESMITH_METRICS_HOST', 'address for that port, which no client may reach (127.0.0.1)'],
  [
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'where traces are sent by OTLP over HTTP, such as http://localhost:4318; also OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and the others of OTEL_EXPORTER_OTLP_* (none)',
  ],
  [
    'OTEL_TRACES_SAMPLER',
    'what is traced: always_on, always_off or traceidratio, or one of these behind parentbased_ (parentbased_always_on)',
  ],
  ['OTEL_TRACES_SAMPLER_ARG', 'which part, for traceidratio, 0 to 1 (1)'],
  ['GATESMITH_LOG_LEVEL', 'fatal, error, warn, info, debug, trace or silent (info)'],
] as const

/** A setting is missing or wrong; the message names it and says what to set. */
export class SettingError extends Error {}

/** The settings out of the environment, complete or refused with a SettingError. */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const wrong = [...Value.Errors(Environment, environment)][0]
  if (wrong) {
    const name = wrong.instancePath.slice(1)
    throw new SettingError(`${name} is not valid: it must be ${meaning(name)}`)
  }
  const env = Value.Parse(Environment, Value.Clean(Environment, { ...environment }))
  if (!env.DATABASE_URL) {
    throw new SettingError(`DATABASE_URL is not set: set it to ${meaning('DATABASE_URL')}`)
  }
  const port = Number(env.GATESMITH_PORT ?? 4000)
  return {
    databaseUrl: env.DATABASE_URL,
    databaseDirectUrl: env.GATESMITH_DATABASE_DIRECT_URL,
    databasePool: Number(env.GATESMITH_DATABASE_POOL ?? 10),
    sealingKey: sealingKey(env),
    formerSealingKeys: formerKeys(env),
    pkcs11: pkcs11Of(env),
    host: env.GATESMITH_HOST ?? '0.0.0.0',
    port,
    publicUrl: (env.GATESMITH_PUBLIC_URL ?? `http://localhost:${port}`).replace(/\/+$/, ''),
    rates: ratesOf(env),
    ...(env.GATESMITH_API_KEY_DAYS ? { apiKeyDays: Number(env.GATESMITH_API_KEY_DAYS) } : {}),
    oidc: oidcOf(env),
    tls: tlsOf(env),
    clientCertHeader: clientCertHeaderOf(env),
    approval: env.GATESMITH_APPROVAL,
    quotas: quotasIn(env),
    trustedProxies: rangesOf('GATESMITH_TRUSTED_PROXIES', env.GATESMITH_TRUSTED_PROXIES ?? ''),
    noticeRanges: rangesOf('GATESMITH_NOTICE_RANGES', env.GATESMITH_NOTICE_RANGES ?? ''),
    smtp: smtpOf(env),
    siem: siemOf(env),
    annotations:
      env.GATESMITH_HOST_ANNOTATIONS === undefined
        ? undefined
        : partsOf(env.GATESMITH_HOST_ANNOTATIONS),
    metrics:
      env.GATESMITH_METRICS_PORT === undefined
        ? undefined
        : {
            host: env.GATESMITH_METRICS_HOST ?? '127.0.0.1',
            port: Number(env.GATESMITH_METRICS_PORT),
          },
    traces: tracesOf(env),
    logLevel: env.GATESMITH_LOG_LEVEL ?? 'info',
    development: false,
  }
}

/** None where the standard variables of OpenTelemetry name no endpoint, or say that nothing is to be sent. */
function tracesOf(env: Type.Static<typeof Environment>): Traces | undefined {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT
  const isOff = env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none'
  if (!endpoint || isOff) return undefined
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL
  if (protocol && protocol !== 'http/protobuf') {
    throw new SettingError(`OTEL_EXPORTER_OTLP_PROTOCOL: traces are sent by http/protobuf alone`)
  }
  const name = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on'
  const sampler = samplers.find((each) => each === name)
  const ratio = Number(env.OTEL_TRACES_SAMPLER_ARG || 1)
  if (sampler === undefined) {
    throw new SettingError(`OTEL_TRACES_SAMPLER must be one of ${samplers.join(', ')}`)
  }
  if (!(ratio >= 0 && ratio <= 1)) {
    throw new SettingError('OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1')
  }
  return { sampler, ratio }
}

function ratesOf(env: Type.Static<typeof Environment>): Rates {
  return {
    key: Number(env.GATESMITH_RATE_KEY ?? defaultRates.key),
    tenant: Number(env.GATESMITH_RATE_TENANT ?? defaultRates.tenant),
    address: Number(env.GATESMITH_RATE_ADDRESS ?? defaultRates.address),
    failures: Number(env.GATESMITH_RATE_FAILURES ?? defaultRates.failures),
  }
}

function quotasIn(env: Type.Static<typeof Environment>): QuotaDefaults {
  const {
    hosts,
    certificatesPerDay: certificates,
    deliveries,
    apiKeys: keys,
    revocationsPerDay: revocations,
    replacementsPerDay: replacements,
  } = defaultQuotas
  return {
    hosts: Number(env.GATESMITH_QUOTA_HOSTS ?? hosts),
    certificatesPerDay: Number(env.GATESMITH_QUOTA_CERTIFICATES_PER_DAY ?? certificates),
    deliveries: Number(env.GATESMITH_QUOTA_DELIVERIES ?? deliveries),
    apiKeys: Number(env.GATESMITH_QUOTA_API_KEYS ?? keys),
    revocationsPerDay: Number(env.GATESMITH_QUOTA_REVOCATIONS_PER_DAY ?? revocations),
    replacementsPerDay: Number(env.GATESMITH_QUOTA_REPLACEMENTS_PER_DAY ?? replacements),
  }
}

/** By which tokens may be signed: public keys alone, so that nobody signs with what we verify by (RFC 8725 3.1). */
const algorithms: ReadonlySet<string> = new Set(
  ['RS', 'PS', 'ES']
    .flatMap((each) => ['256', '384', '512'].map((bits) => each + bits))
    .concat('EdDSA'),
)

function oidcOf(env: Type.Static<typeof Environment>): Oidc | undefined {
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
  const asked = partsOf(env.GATESMITH_OIDC_ALGORITHMS ?? 'RS256')
  const strange = asked.find((each) => !algorithms.has(each))
  if (strange !== undefined || asked.length === 0) {
    const all = [...algorithms].join(', ')
    throw new SettingError(`GATESMITH_OIDC_ALGORITHMS: ${strange} is none of ${all}`)
  }
  return {
    ...{ issuer, audience, algorithms: asked },
    roleClaim: env.GATESMITH_OIDC_ROLE_CLAIM ?? 'gatesmith_role',
    tenantClaim: env.GATESMITH_OIDC_TENANT_CLAIM ?? 'gatesmith_tenant',
    roles: partsOf(env.GATESMITH_OIDC_ROLES ?? usualRoles).map(grantOf),
  }
}

function tlsOf(env: Type.Static<typeof Environment>): Config['tls'] {
  const { GATESMITH_TLS_PORT: port } = env
  const { GATESMITH_TLS_CERT_FILE: cert, GATESMITH_TLS_KEY_FILE: key } = env
  if (port !== undefined && cert !== undefined && key !== undefined) {
    return { port: Number(port), cert, key }
  }
  if (port === undefined && cert === undefined && key === undefined) return undefined
  throw new SettingError(
    'Set GATESMITH_TLS_PORT, GATESMITH_TLS_CERT_FILE and GATESMITH_TLS_KEY_FILE, or none of them',
  )
}

function clientCertHeaderOf(env: Type.Static<typeof Environment>): string | undefined {
  const { GATESMITH_CLIENT_CERT_HEADER: header, GATESMITH_TRUSTED_PROXIES: proxies } = env
  if (header === undefined || proxies !== undefined) return header?.toLowerCase()
  throw new SettingError(
    'GATESMITH_CLIENT_CERT_HEADER needs GATESMITH_TRUSTED_PROXIES: anybody else could write that header',
  )
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

function partsOf(text: string): readonly string[] {
  return text.split(',').flatMap((each) => each.trim() || [])
}

function smtpOf(env: Type.Static<typeof Environment>): Config['smtp'] {
  const { GATESMITH_SMTP_URL: url, GATESMITH_SMTP_FROM: from } = env
  if (url === undefined && from === undefined) return undefined
  if (url !== undefined && from !== undefined) return { url, from }
  throw new SettingError('Set both GATESMITH_SMTP_URL and GATESMITH_SMTP_FROM, or neither')
}

function siemOf(env: Type.Static<typeof Environment>): Siem {
  const {
    GATESMITH_SIEM_WEBHOOK_URL: url,
    GATESMITH_SIEM_SYSLOG_URL: syslog,
    GATESMITH_SIEM_SYSLOG_CA_FILE: caFile,
  } = env
  const secret = secretOf(env, 'GATESMITH_SIEM_WEBHOOK_SECRET')
  if ((url === undefined) !== (secret === undefined)) {
    throw new SettingError(
      'Set both GATESMITH_SIEM_WEBHOOK_URL and GATESMITH_SIEM_WEBHOOK_SECRET, or neither',
    )
  }
  if (secret !== undefined && !/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/.test(secret)) {
    throw new SettingError(
      `GATESMITH_SIEM_WEBHOOK_SECRET must be ${meaning('GATESMITH_SIEM_WEBHOOK_SECRET')}`,
    )
  }
  const ca =
    caFile === undefined ? {} : { ca: readSecretFile('GATESMITH_SIEM_SYSLOG_CA_FILE', caFile) }
  return {
    ...(url === undefined || secret === undefined ? {} : { webhook: { url, secret } }),
    ...(syslog === undefined ? {} : { syslog: { url: syslog, ...ca } }),
  }
}

function rangesOf(setting: string, text: string): readonly string[] {
  const ranges = partsOf(text)
  const wrong = ranges.find((each) => !ipBytes(each) && !(/\/\d+$/.test(each) && rangeBytes(each)))
  if (wrong === undefined) return ranges
  throw new SettingError(
    `${setting}: ${wrong} is neither an address nor a range such as 10.0.0.0/8`,
  )
}

function meaning(name: string): string {
  return settings.find(([setting]) => setting === name)?.[1] ?? 'left out'
}

function sealingKey(env: Type.Static<typeof Environment>): Buffer {
  const text = secretOf(env, 'GATESMITH_SEALING_KEY')
  if (text !== undefined) return keyOf(text)
  throw new SettingError(
    'GATESMITH_SEALING_KEY is not set: make one with `openssl rand -base64 32` and keep it safe',
  )
}

function formerKeys(env: Type.Static<typeof Environment>): readonly Buffer[] {
  const from = secretOf(env, 'GATESMITH_SEALING_KEYS_FORMER') ?? ''
  return from.split(/[\s,]+/).flatMap((each) => (each === '' ? [] : [keyOf(each)]))
}

function pkcs11Of(env: Type.Static<typeof Environment>): Pkcs11 | undefined {
  const { GATESMITH_PKCS11_MODULE: module } = env
  if (module === undefined) return undefined
  const pin = secretOf(env, 'GATESMITH_PKCS11_PIN')
  if (pin === undefined) {
    throw new SettingError('Set either GATESMITH_PKCS11_PIN or GATESMITH_PKCS11_PIN_FILE')
  }
  return { module, token: env.GATESMITH_PKCS11_TOKEN, pin }
}

function keyOf(text: string): Buffer {
  const key = Buffer.from(text, 'base64')
  if (key.length !== 32) {
    throw new SettingError('A sealing key must be 32 octets in base64 (openssl rand -base64 32)')
  }
  return key
}

/** A secret: the variable, or the text of the file that another variable names. */
function secretOf(env: Type.Static<typeof Environment>, name: Secret): string | undefined {
  const file = `${name}_FILE` as const
  const { [name]: text, [file]: path } = env
  if (text !== undefined && path !== undefined) {
    throw new SettingError(`Set ${name} or ${file}, not both`)
  }
  return path === undefined ? text : readSecretFile(file, path)
}

type Secret =
  | 'GATESMITH_SEALING_KEY'
  | 'GATESMITH_SEALING_KEYS_FORMER'
  | 'GATESMITH_PKCS11_PIN'
  | 'GATESMITH_SIEM_WEBHOOK_SECRET'

function readSecretFile(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw new SettingError(`${setting}: cannot read ${path}`, { cause })
  }
}

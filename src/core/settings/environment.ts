import Type from 'typebox'

const Count = Type.String({ pattern: '^(0|[1-9][0-9]{0,7})$' })

/** The variables that are read, and what each may hold. */
export const Environment = Type.Object({
  DATABASE_URL: Type.Optional(Type.String({ pattern: '^postgres(ql)?://' })),
  GATESMITH_DATABASE_DIRECT_URL: Type.Optional(Type.String({ pattern: '^postgres(ql)?://' })),
  GATESMITH_SEALING_KEY: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$' })),
  GATESMITH_SEALING_KEY_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_SEALING_KEY_COMMAND: Type.Optional(Type.String({ pattern: '^\\[', maxLength: 16_384 })),
  GATESMITH_SEALING_KEYS_FORMER: Type.Optional(
    Type.String({ pattern: '^[A-Za-z0-9+/]{43}=(\\s*,\\s*[A-Za-z0-9+/]{43}=)*$' }),
  ),
  GATESMITH_SEALING_KEYS_FORMER_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_SEALING_KEYS_FORMER_COMMAND: Type.Optional(
    Type.String({ pattern: '^\\[', maxLength: 16_384 }),
  ),
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
  GATESMITH_OIDC_CONSOLE_CLIENT_ID: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  GATESMITH_OIDC_CONSOLE_CLIENT_SECRET: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_OIDC_CONSOLE_CLIENT_SECRET_FILE: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_OIDC_CONSOLE_SCOPE: Type.Optional(
    Type.String({ pattern: '^[!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*$', maxLength: 1024 }),
  ),
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
  GATESMITH_ACME_URL: Type.Optional(Type.String({ pattern: '^https?://[^\\s?#]+$' })),
  GATESMITH_ACME_HTTP_PORT: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,4}$' })),
  GATESMITH_ACME_TLS_PORT: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,4}$' })),
  GATESMITH_ACME_RESOLVERS: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_ACME_RANGES: Type.Optional(Type.String({ minLength: 1 })),
  GATESMITH_CA_RANGES: Type.Optional(Type.String({ minLength: 1 })),
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

/** The environment of a process as far as it is ours. */
export type Env = Type.Static<typeof Environment>

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
    'GATESMITH_SEALING_KEY_COMMAND',
    'a program that prints that key, instead of the variable, and its arguments, as a JSON array of strings: ["vault","write","-field=plaintext",…] (docs/sealing.md)',
  ],
  [
    'GATESMITH_SEALING_KEYS_FORMER',
    'further keys that open what they sealed, by comma: for a change of key (gatesmith rewrap --help)',
  ],
  ['GATESMITH_SEALING_KEYS_FORMER_FILE', 'a file that holds those keys, one to a line'],
  [
    'GATESMITH_SEALING_KEYS_FORMER_COMMAND',
    'a program that prints such keys, one to a line, and its arguments, as a JSON array of strings; beside the former',
  ],
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
    'GATESMITH_OIDC_CONSOLE_CLIENT_ID',
    'client of that issuer as which the console signs people in, with <URL of this service>/console/oidc/callback as its redirect URI (none: the console takes API keys alone)',
  ],
  ['GATESMITH_OIDC_CONSOLE_CLIENT_SECRET', 'secret of that client (none: a public client)'],
  [
    'GATESMITH_OIDC_CONSOLE_CLIENT_SECRET_FILE',
    'a file that holds that secret, instead of the variable',
  ],
  ['GATESMITH_OIDC_CONSOLE_SCOPE', 'what the console asks for, by blanks (openid)'],
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
  ['GATESMITH_ACME_URL', 'URL under which ACME clients reach /acme (as each of them asks for it)'],
  ['GATESMITH_ACME_HTTP_PORT', 'port at which http-01 challenges are looked for (80)'],
  ['GATESMITH_ACME_TLS_PORT', 'port at which tls-alpn-01 challenges are looked for (443)'],
  [
    'GATESMITH_ACME_RESOLVERS',
    'DNS servers that are asked about challenges, address or address:port, by comma (those of the machine)',
  ],
  [
    'GATESMITH_ACME_RANGES',
    'addresses or ranges at which alone challenges are looked for, by comma (all but loopback; link-local and metadata addresses never)',
  ],
  [
    'GATESMITH_CA_RANGES',
    'addresses or ranges of private networks where ACME CAs, and what proves names to them, may be reached, also without TLS, by comma (none)',
  ],
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

/** What a setting is for. */
export function meaning(name: string): string {
  return settings.find(([setting]) => setting === name)?.[1] ?? 'left out'
}

/** The parts of a list by comma. */
export function listOf(text: string): readonly string[] {
  return text.split(',').flatMap((each) => each.trim() || [])
}

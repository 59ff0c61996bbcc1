import Value from 'typebox/value'
import { ipBytes, rangeBytes } from '../x509/names/ip.ts'
import { type AcmeSettings, acmeOf } from './settings/acme.ts'
import { type Env, Environment, listOf, meaning, SettingError } from './settings/environment.ts'
import { type QuotaDefaults, quotasIn, type Rates, ratesOf } from './settings/limits.ts'
import { type Oidc, oidcOf } from './settings/oidc.ts'
import { formerKeys, type Pkcs11, pkcs11Of, sealingKey } from './settings/secrets.ts'
import { type Siem, type Smtp, siemOf, smtpOf, type Traces, tracesOf } from './settings/sending.ts'

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
  readonly acme: AcmeSettings
  /** Addresses and ranges of private networks where ACME CAs and what proves names to them may be. */
  readonly caRanges?: readonly string[]
  /** How mail is sent; never printed, since the URL may hold a password. */
  readonly smtp?: Smtp | undefined
  readonly siem?: Siem
  /** Where /metrics is served; not set: nowhere. */
  readonly metrics?: { readonly host: string; readonly port: number } | undefined
  /** Not set: nothing is traced. */
  readonly traces?: Traces | undefined
  readonly logLevel: string
  readonly development: boolean
  /** Where the built console lies; not set: where `npm run build` puts it. */
  readonly consoleFolder?: string
}

/** Where sessions of our own lead to: what holds locks, hears what is told (LISTEN) or migrates goes through no pooler. */
export function directUrl({ databaseUrl, databaseDirectUrl }: Config): string {
  return databaseDirectUrl ?? databaseUrl
}

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
    sealingKey: sealingKey(env, environment),
    formerSealingKeys: formerKeys(env, environment),
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
    acme: acmeOf(env, rangesOf('GATESMITH_ACME_RANGES', env.GATESMITH_ACME_RANGES ?? '')),
    caRanges: rangesOf('GATESMITH_CA_RANGES', env.GATESMITH_CA_RANGES ?? ''),
    smtp: smtpOf(env),
    siem: siemOf(env),
    annotations:
      env.GATESMITH_HOST_ANNOTATIONS === undefined
        ? undefined
        : listOf(env.GATESMITH_HOST_ANNOTATIONS),
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

function tlsOf(env: Env): Config['tls'] {
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

function clientCertHeaderOf(env: Env): string | undefined {
  const { GATESMITH_CLIENT_CERT_HEADER: header, GATESMITH_TRUSTED_PROXIES: proxies } = env
  if (header === undefined || proxies !== undefined) return header?.toLowerCase()
  throw new SettingError(
    'GATESMITH_CLIENT_CERT_HEADER needs GATESMITH_TRUSTED_PROXIES: anybody else could write that header',
  )
}

function rangesOf(setting: string, text: string): readonly string[] {
  const ranges = listOf(text)
  const wrong = ranges.find((each) => !ipBytes(each) && !(/\/\d+$/.test(each) && rangeBytes(each)))
  if (wrong === undefined) return ranges
  throw new SettingError(
    `${setting}: ${wrong} is neither an address nor a range such as 10.0.0.0/8`,
  )
}

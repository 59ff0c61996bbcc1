import type { Env } from './environment.ts'

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

/** The rates that are set, the others as they are by themselves. */
export function ratesOf(env: Env): Rates {
  return {
    key: Number(env.GATESMITH_RATE_KEY ?? defaultRates.key),
    tenant: Number(env.GATESMITH_RATE_TENANT ?? defaultRates.tenant),
    address: Number(env.GATESMITH_RATE_ADDRESS ?? defaultRates.address),
    failures: Number(env.GATESMITH_RATE_FAILURES ?? defaultRates.failures),
  }
}

/** The quotas that are set, the others as they are by themselves. */
export function quotasIn(env: Env): QuotaDefaults {
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

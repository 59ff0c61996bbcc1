import { type Env, listOf, SettingError } from './environment.ts'

/** How challenges of ACME are looked for, and where its clients find the service. */
export type AcmeSettings = {
  /** Not set: as each client asks for it. */
  readonly url?: string | undefined
  readonly httpPort: number
  readonly tlsPort: number
  /** DNS servers, `address` or `address:port`; none: those of the machine. */
  readonly resolvers: readonly string[]
  /** Addresses and ranges at which alone challenges are looked for; none: all but this machine's own. */
  readonly ranges: readonly string[]
}

/** What holds where nothing is set. */
export const defaultAcme: AcmeSettings = { httpPort: 80, tlsPort: 443, resolvers: [], ranges: [] }

/** The settings for ACME; `ranges` have been read. Throws SettingError. */
export function acmeOf(env: Env, ranges: readonly string[]): AcmeSettings {
  const resolvers = listOf(env.GATESMITH_ACME_RESOLVERS ?? '')
  const wrong = resolvers.find(
    (each) => !/^(\d+\.){3}\d+(:\d+)?$|^\[[0-9a-f:]+\](:\d+)?$|^[0-9a-f:]+$/i.test(each),
  )
  if (wrong !== undefined) {
    throw new SettingError(`GATESMITH_ACME_RESOLVERS: ${wrong} is no address such as 10.0.0.53:53`)
  }
  return {
    ...(env.GATESMITH_ACME_URL ? { url: env.GATESMITH_ACME_URL.replace(/\/+$/, '') } : {}),
    httpPort: Number(env.GATESMITH_ACME_HTTP_PORT ?? defaultAcme.httpPort),
    tlsPort: Number(env.GATESMITH_ACME_TLS_PORT ?? defaultAcme.tlsPort),
    resolvers,
    ranges,
  }
}

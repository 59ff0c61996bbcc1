import { answerOf, each, type Schemas } from '@gatesmith/client'
import { CommandError } from './io.ts'
import { type Column, print, span, until } from './print.ts'
import { type Session, tenantOf } from './session/contexts.ts'

/** What a list is narrowed by, as its parameters have it. */
export type Filters = Readonly<Record<string, string | undefined>>

/** A noun of the service: `get` lists it, shows one and prints it. */
export type Noun = {
  readonly name: string
  readonly aliases: readonly string[]
  /** Prints those that match, at most `limit`. */
  readonly list: (session: Session, filters: Filters, limit: number) => Promise<void>
  /** Prints these, each asked for by its name. */
  readonly some: (session: Session, names: readonly string[]) => Promise<void>
  /** One, as the service has it. */
  readonly one: (session: Session, name: string) => Promise<object>
  readonly remove?: (session: Session, name: string) => Promise<unknown>
}

type Definition<T> = {
  readonly name: string
  readonly aliases: readonly string[]
  readonly columns: readonly Column<T>[]
  readonly key: (item: T) => string
  readonly each: (session: Session, filters: Filters) => AsyncIterable<T>
  readonly one: (session: Session, name: string) => Promise<T>
  readonly remove?: (session: Session, name: string) => Promise<unknown>
}

/** A query of filters that are given, and of the place in the list. */
export const queryOf = (filters: Filters) => ({
  querySerializer: () => {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(filters)) {
      if (value !== undefined) query.set(name, value)
    }
    return query.toString()
  },
})

/** Hosts that match, of the session's tenant or of all. */
export function hostsOf({ client, tenant }: Session, filters: Filters) {
  return each<Schemas['Host']>((page) => {
    const query = queryOf({ limit: '200', ...filters, ...page })
    return tenant === undefined
      ? client.GET('/v1/hosts', query)
      : client.GET('/v1/tenants/{tenant}/hosts', { ...query, params: { path: { tenant } } })
  })
}

/** Certificates that match, of the session's tenant or of all. */
export function certificatesOf({ client, tenant }: Session, filters: Filters) {
  return each<Schemas['Certificate']>((page) => {
    const query = queryOf({ limit: '200', ...filters, ...page })
    return tenant === undefined
      ? client.GET('/v1/certificates', query)
      : client.GET('/v1/tenants/{tenant}/certificates', { ...query, params: { path: { tenant } } })
  })
}

/** One host of the session's tenant. */
export function hostOf(session: Session, host: string): Promise<Schemas['Host']> {
  const path = { tenant: tenantOf(session), host }
  return answerOf(session.client.GET('/v1/tenants/{tenant}/hosts/{host}', { params: { path } }))
}

/** A host's statuses in one word each, those that all clusters share once. */
export function statusOf({ status }: Schemas['Host']): string {
  const counts = Map.groupBy(status.clusters, (placement) => placement.status)
  if (counts.size === 0) return '-'
  return [...counts]
    .map(([word, all]) => (status.clusters.length === 1 ? word : `${word} ${all.length}`))
    .join(', ')
}

export const certificateColumns: readonly Column<Schemas['Certificate']>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'TENANT', value: ({ tenant }) => tenant, wide: true },
  { title: 'NAMES', value: (certificate) => namesIn(certificate) },
  { title: 'PROFILE', value: ({ profile }) => profile },
  { title: 'STATUS', value: ({ status }) => status },
  { title: 'EXPIRES', value: ({ notAfter }) => until(notAfter) },
  { title: 'HOST', value: ({ host }) => host },
  { title: 'AUTHORITY', value: ({ authority }) => authority ?? '(uploaded)', wide: true },
  { title: 'KEY', value: ({ keyAlgorithm }) => keyAlgorithm, wide: true },
  { title: 'SERIAL', value: ({ serial }) => serial, wide: true },
]

function namesIn({ dnsNames, ipAddresses, subject }: Schemas['Certificate']): string {
  const names = [...dnsNames, ...ipAddresses]
  const [first = subject.commonName ?? '-'] = names
  return names.length > 1 ? `${first} +${names.length - 1}` : first
}

const labelsIn = (labels: Readonly<Record<string, string>>) =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',') || '-'

export const acmeKeyColumns: readonly Column<Schemas['AcmeKey']>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'NAME', value: ({ name }) => name },
  { title: 'AUTHORITY', value: ({ authority }) => authority },
  { title: 'NAMES', value: ({ names }) => names.join(',') || '-' },
  { title: 'PREAUTHORIZED', value: ({ preauthorized }) => (preauthorized ? 'yes' : 'no') },
  { title: 'AGE', value: ({ createdAt }) => span(createdAt) },
]

export const nouns: readonly Noun[] = [
  noun<Schemas['Host']>({
    name: 'hosts',
    aliases: ['host', 'ho'],
    key: ({ name }) => `host/${name}`,
    each: hostsOf,
    one: hostOf,
    remove: async (session, host) => {
      const path = { tenant: tenantOf(session), host }
      await answerOf(
        session.client.DELETE('/v1/tenants/{tenant}/hosts/{host}', { params: { path } }),
      )
    },
    columns: [
      { title: 'NAME', value: ({ name }) => name },
      { title: 'TENANT', value: ({ tenant }) => tenant },
      { title: 'MODE', value: ({ tls }) => tls.mode },
      { title: 'STATUS', value: (host) => (host.removedAt ? 'Removing' : statusOf(host)) },
      { title: 'EXPIRES', value: ({ status }) => until(status.certificate?.notAfter) },
      { title: 'CLUSTERS', value: ({ clusters }) => clusters.join(',') },
      { title: 'AGE', value: ({ createdAt }) => span(createdAt) },
      {
        title: 'AUTHORITY',
        value: ({ certificate }) => certificate.authority ?? '(uploaded)',
        wide: true,
      },
      { title: 'SERIAL', value: ({ status }) => status.certificate?.serial, wide: true },
      { title: 'LABELS', value: ({ labels }) => labelsIn(labels), wide: true },
    ],
  }),
  noun<Schemas['Certificate']>({
    name: 'certificates',
    aliases: ['certificate', 'cert', 'certs'],
    key: ({ id }) => `certificate/${id}`,
    each: certificatesOf,
    one: (session, id) => {
      const path = { tenant: tenantOf(session), id }
      return answerOf(
        session.client.GET('/v1/tenants/{tenant}/certificates/{id}', { params: { path } }),
      )
    },
    remove: async (session, id) => {
      const path = { tenant: tenantOf(session), id }
      await answerOf(
        session.client.DELETE('/v1/tenants/{tenant}/certificates/{id}', { params: { path } }),
      )
    },
    columns: certificateColumns,
  }),
  noun<Schemas['Tenant']>({
    name: 'tenants',
    aliases: ['tenant'],
    key: ({ name }) => `tenant/${name}`,
    each: ({ client }, filters) =>
      each((page) => client.GET('/v1/tenants', queryOf({ limit: '200', ...filters, ...page }))),
    one: ({ client }, tenant) =>
      answerOf(client.GET('/v1/tenants/{tenant}', { params: { path: { tenant } } })),
    remove: ({ client }, tenant) =>
      answerOf(client.DELETE('/v1/tenants/{tenant}', { params: { path: { tenant } } })),
    columns: [
      { title: 'NAME', value: ({ name }) => name },
      { title: 'DOMAINS', value: ({ domains }) => domains.join(',') },
      { title: 'NAMESPACES', value: ({ namespaces }) => namespaces.join(',') },
      { title: 'AUTHORITY', value: ({ defaultAuthority }) => defaultAuthority },
      { title: 'OWNER', value: ({ owner }) => owner },
      { title: 'AGE', value: ({ createdAt }) => span(createdAt) },
      { title: 'LABELS', value: ({ labels }) => labelsIn(labels), wide: true },
    ],
  }),
  noun<Schemas['Authority']>({
    name: 'authorities',
    aliases: ['authority', 'ca', 'cas'],
    key: ({ name }) => `authority/${name}`,
    each: ({ client }, filters) =>
      each((page) => client.GET('/v1/authorities', queryOf({ limit: '200', ...filters, ...page }))),
    one: ({ client }, authority) =>
      answerOf(client.GET('/v1/authorities/{authority}', { params: { path: { authority } } })),
    remove: ({ client }, authority) =>
      answerOf(client.DELETE('/v1/authorities/{authority}', { params: { path: { authority } } })),
    columns: [
      { title: 'NAME', value: ({ name }) => name },
      { title: 'KIND', value: ({ kind }) => kind },
      { title: 'PARENT', value: ({ parent }) => parent },
      { title: 'TENANT', value: ({ tenant }) => tenant },
      { title: 'KEY', value: ({ keyAlgorithm, keyStore }) => `${keyAlgorithm} (${keyStore})` },
      { title: 'EXPIRES', value: ({ notAfter }) => until(notAfter) },
      { title: 'SERIAL', value: ({ serial }) => serial, wide: true },
    ],
  }),
  noun<Schemas['Cluster']>({
    name: 'clusters',
    aliases: ['cluster'],
    key: ({ name }) => `cluster/${name}`,
    each: ({ client }, filters) =>
      each((page) => client.GET('/v1/clusters', queryOf({ limit: '200', ...filters, ...page }))),
    one: ({ client }, cluster) =>
      answerOf(client.GET('/v1/clusters/{cluster}', { params: { path: { cluster } } })),
    remove: ({ client }, cluster) =>
      answerOf(client.DELETE('/v1/clusters/{cluster}', { params: { path: { cluster } } })),
    columns: [
      { title: 'NAME', value: ({ name }) => name },
      { title: 'STATUS', value: ({ status }) => status },
      { title: 'API', value: ({ api }) => api },
      { title: 'KUBERNETES', value: ({ kubernetesVersion }) => kubernetesVersion },
      { title: 'INGRESS', value: ({ ingress }) => ingress.address },
      { title: 'CHECKED', value: ({ checkedAt }) => span(checkedAt) },
      { title: 'SERVER', value: ({ server }) => server, wide: true },
      { title: 'MESSAGE', value: ({ message }) => message, wide: true },
    ],
  }),
  noun<Schemas['AcmeKey']>({
    name: 'acme-keys',
    aliases: ['acme-key'],
    key: ({ id }) => `acme-key/${id}`,
    each: (session, filters) =>
      each((page) =>
        session.client.GET('/v1/tenants/{tenant}/acme-keys', {
          ...queryOf({ limit: '200', ...filters, ...page }),
          params: { path: { tenant: tenantOf(session) } },
        }),
      ),
    one: (session, id) => {
      const path = { tenant: tenantOf(session), id }
      return answerOf(
        session.client.GET('/v1/tenants/{tenant}/acme-keys/{id}', { params: { path } }),
      )
    },
    remove: (session, id) => {
      const path = { tenant: tenantOf(session), id }
      return answerOf(
        session.client.DELETE('/v1/tenants/{tenant}/acme-keys/{id}', { params: { path } }),
      )
    },
    columns: acmeKeyColumns,
  }),
  noun<Schemas['AcmeAccount']>({
    name: 'acme-accounts',
    aliases: ['acme-account'],
    key: ({ id }) => `acme-account/${id}`,
    each: (session, filters) =>
      each((page) =>
        session.client.GET('/v1/tenants/{tenant}/acme-accounts', {
          ...queryOf({ limit: '200', ...filters, ...page }),
          params: { path: { tenant: tenantOf(session) } },
        }),
      ),
    one: (session, id) => {
      const path = { tenant: tenantOf(session), id }
      return answerOf(
        session.client.GET('/v1/tenants/{tenant}/acme-accounts/{id}', { params: { path } }),
      )
    },
    remove: (session, id) => {
      const path = { tenant: tenantOf(session), id }
      return answerOf(
        session.client.DELETE('/v1/tenants/{tenant}/acme-accounts/{id}', { params: { path } }),
      )
    },
    columns: [
      { title: 'ID', value: ({ id }) => id },
      { title: 'KEY', value: ({ key }) => key },
      { title: 'AUTHORITY', value: ({ authority }) => authority },
      { title: 'STATUS', value: ({ status }) => status },
      { title: 'CONTACT', value: ({ contact }) => contact.join(',') || '-' },
      { title: 'AGE', value: ({ createdAt }) => span(createdAt) },
      { title: 'THUMBPRINT', value: ({ thumbprint }) => thumbprint, wide: true },
    ],
  }),
]

function noun<T extends object>(definition: Definition<T>): Noun {
  const { name, aliases, columns, key, one, remove } = definition
  return {
    name,
    aliases,
    one,
    ...(remove ? { remove } : {}),
    list: async (session, filters, limit) => {
      const found: T[] = []
      for await (const item of definition.each(session, filters)) {
        if (found.length >= limit) break
        found.push(item)
      }
      await print(session, found, { columns, name: key, none: `No ${name} found` })
    },
    some: async (session, names) => {
      const found = await Promise.all(names.map((each) => one(session, each)))
      await print(session, found, { columns, name: key, single: names.length === 1 })
    },
  }
}

/** The noun by any of its names. Throws and lists them. */
export function nounOf(word: string): Noun {
  const found = nouns.find(({ name, aliases }) => name === word || aliases.includes(word))
  if (found) return found
  const all = nouns.map(({ name }) => name).join(', ')
  throw new CommandError(`There are no "${word}". Take one of: ${all}`)
}

/** `host/shop.example.com` or `hosts shop.example.com …`, as kubectl takes them. */
export function named(words: readonly string[]): { noun: Noun; names: readonly string[] } {
  const [first = '', ...rest] = words
  const [, word, name] = /^([a-z-]+)\/(.+)$/.exec(first) ?? []
  if (word !== undefined && name !== undefined) {
    if (rest.some((each) => !each.startsWith(`${word}/`))) {
      throw new CommandError(`Name all of them like ${first}`)
    }
    return { noun: nounOf(word), names: [name, ...rest.map((each) => each.slice(word.length + 1))] }
  }
  return { noun: nounOf(first), names: rest }
}

/** `status=Failed` as a name and a value. */
export function filterIn(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
  throw new CommandError(`Give <name>=<value>, not "${text}"`)
}

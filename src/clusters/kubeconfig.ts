import { parseDocument, stringify } from 'yaml'
import type { Violation } from '../words/problem.ts'

/** A kubeconfig cut down to its current context, which is all that is stored. */
export type Kubeconfig = { readonly server: string; readonly text: string }

type Fields = Readonly<Record<string, unknown>>

/** How much text is looked at. */
export const kubeconfigLimit = 256 * 1024

const flatten = 'embed it: kubectl config view --raw --flatten --minify'

/** Fields that would make the service read its own disk, run a program, send the credentials another
 *  way or trust anyone; with what to do instead. */
const refused = {
  cluster: {
    'certificate-authority': `is a file path on your machine; ${flatten}`,
    'insecure-skip-tls-verify': 'would send the credentials to anyone: give the CA instead',
    'proxy-url': 'is not supported: the service connects to the server itself',
  },
  user: {
    exec: 'would run a program on our host: use the token of a service account',
    'auth-provider': 'would run a program on our host: use the token of a service account',
    'client-certificate': `is a file path on your machine; ${flatten}`,
    'client-key': `is a file path on your machine; ${flatten}`,
    tokenFile: 'is a file path on your machine: put the token itself under token',
    'token-file': 'is a file path on your machine: put the token itself under token',
  },
} as const

/** What may stand in a cluster and in a user; `kept` is stored, the rest only says how kubectl works. */
const known = {
  cluster: {
    kept: ['server', 'certificate-authority-data', 'tls-server-name'],
    idle: ['extensions', 'disable-compression'],
  },
  user: { kept: ['token', 'client-certificate-data', 'client-key-data'], idle: ['extensions'] },
} as const

/** The current context of a kubeconfig, if it can be used without touching anything but the server it
 *  names; otherwise everything that is wrong with it. */
export function parseKubeconfig(
  text: string,
): { readonly kubeconfig: Kubeconfig } | { readonly violations: readonly Violation[] } {
  const config = readYaml(text)
  if (!config) return refusal(['This is not a YAML mapping without aliases, as a kubeconfig is'])
  const name = config['current-context']
  if (typeof name !== 'string' || name === '') {
    return refusal(['There is no current-context: name the context to use'])
  }
  const context = named(config.contexts, name, 'context')
  if (!context) return refusal([`contexts has no "${name}", which current-context names`])
  const cluster = named(config.clusters, context.cluster, 'cluster')
  const user = named(config.users, context.user, 'user')
  const messages = [
    ...(cluster ? clusterFaults(cluster) : [`clusters has no "${String(context.cluster)}"`]),
    ...(user ? userFaults(user) : [`users has no "${String(context.user)}"`]),
  ]
  if (!cluster || !user || messages.length > 0) return refusal(messages)
  const server = String(cluster.server).replace(/\/+$/, '')
  return { kubeconfig: { server, text: minimised({ ...cluster, server }, user) } }
}

function refusal(messages: readonly string[]) {
  return { violations: messages.map((message) => ({ field: '/kubeconfig', message })) }
}

function readYaml(text: string): Fields | undefined {
  if (text.length > kubeconfigLimit) return undefined
  try {
    const document = parseDocument(text, { logLevel: 'silent' })
    const value: unknown = document.errors.length > 0 ? undefined : document.toJS(noAliases)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** An alias of an alias of … would grow without bound, and no tool writes any. */
const noAliases = { maxAliasCount: 0 }

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function named(list: unknown, name: unknown, member: string): Fields | undefined {
  if (!Array.isArray(list)) return undefined
  const found = list.filter(isFields).find((each) => each.name === name)
  const value = found?.[member]
  return isFields(value) ? value : undefined
}

function clusterFaults(cluster: Fields): readonly string[] {
  return [
    ...fieldFaults(cluster, 'cluster'),
    ...serverFault(cluster.server),
    ...pemFault(cluster, 'certificate-authority-data'),
  ]
}

function userFaults(user: Fields): readonly string[] {
  const faults = [
    ...fieldFaults(user, 'user'),
    ...pemFault(user, 'client-certificate-data'),
    ...pemFault(user, 'client-key-data'),
  ]
  const certificate = user['client-certificate-data'] !== undefined
  if (certificate !== (user['client-key-data'] !== undefined)) {
    faults.push('user: client-certificate-data and client-key-data go together')
  }
  if (user.token !== undefined && !isToken(user.token)) {
    faults.push('user: token is not a bearer token (RFC 6750 2.1)')
  }
  if (faults.length === 0 && !certificate && user.token === undefined) {
    faults.push('user: there is neither a token nor a client certificate')
  }
  return faults
}

function fieldFaults(fields: Fields, part: 'cluster' | 'user'): readonly string[] {
  const reasons: Readonly<Record<string, string>> = refused[part]
  const fine: readonly string[] = [...known[part].kept, ...known[part].idle]
  return Object.entries(fields).flatMap(([field, value]) => {
    if (fine.includes(field) || value === null || value === false || value === '') return []
    return [`${part}: ${field} ${reasons[field] ?? 'is not supported: leave it out'}`]
  })
}

function serverFault(server: unknown): readonly string[] {
  const url = typeof server === 'string' ? URL.parse(server) : null
  if (url?.protocol !== 'https:') return ['cluster: server must be an https URL']
  if (url.username || url.password || url.search || url.hash) {
    return ['cluster: server must be a plain URL, without user, query or fragment']
  }
  return []
}

function pemFault(fields: Fields, field: string): readonly string[] {
  const value = fields[field]
  if (value === undefined) return []
  const pem = typeof value === 'string' ? Buffer.from(value, 'base64').toString('latin1') : ''
  return pem.includes('-----BEGIN ') ? [] : [`${field} is not PEM in base64`]
}

function isToken(token: unknown): boolean {
  return typeof token === 'string' && /^[A-Za-z0-9._~+/=-]+$/.test(token)
}

function minimised(cluster: Fields, user: Fields): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'gatesmith',
    contexts: [{ name: 'gatesmith', context: { cluster: 'gatesmith', user: 'gatesmith' } }],
    clusters: [{ name: 'gatesmith', cluster: pick(cluster, known.cluster.kept) }],
    users: [{ name: 'gatesmith', user: pick(user, known.user.kept) }],
  })
}

function pick(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => names.includes(name)))
}

import { type Document, isScalar, Lexer, parseDocument, stringify, visit } from 'yaml'
import type { Violation } from '../../shared/problem.ts'
import { bareHost } from '../../x509/names/ip.ts'
import { forbiddenMessage, isForbiddenAddress } from '../addresses.ts'
import { anchorFaults, clientFaults, type Fields, isStated, tokenFault } from './material.ts'

/** A kubeconfig cut down to its current context, which is all that is stored. */
export type Kubeconfig = { readonly server: string; readonly text: string }

/** The same in parts: the URL of the Kubernetes API, whom to trust there (PEM), and a bearer token. */
export type Parts = { readonly server: string; readonly ca: string; readonly token: string }

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

/** The current context of a kubeconfig, if it can be used at `now` without touching anything but the
 *  server it names; otherwise everything that is wrong with it. Whatever could never work is refused
 *  here, where somebody reads the reason. */
export function parseKubeconfig(text: string, now: Date): Read {
  const config = readYaml(text)
  if (typeof config === 'string') return refusal([config])
  const kind = kindFaults(config)
  if (kind.length > 0) return refusal(kind)
  const name = config['current-context']
  if (typeof name !== 'string' || name === '') {
    return refusal(['There is no current-context: name the context to use'])
  }
  const context = named(config, 'contexts', { name, member: 'context' })
  if (typeof context === 'string') return refusal([`${context}, which current-context names`])
  const [cluster, user] = (['cluster', 'user'] as const).map((member) =>
    isStated(context[member])
      ? named(config, `${member}s`, { name: context[member], member })
      : `The context "${name}" names no ${member}`,
  )
  const messages = [
    ...(isFields(cluster) ? clusterFaults(cluster, now) : [String(cluster)]),
    ...(isFields(user) ? userFaults(user, now) : [String(user)]),
  ]
  if (!isFields(cluster) || !isFields(user) || messages.length > 0) return refusal(messages)
  const server = String(cluster.server).replace(/\/+$/, '')
  return { kubeconfig: { server, text: minimised({ ...cluster, server }, user) } }
}

/** The kubeconfig of these parts, or what is wrong with each of them. */
export function kubeconfigOf(parts: Parts, now: Date): Read {
  return assembled({}, parts, now)
}

/** A kubeconfig that is stored, with another token for its user and, where they are given, another server
 *  or CA; or what is wrong with these. */
export function changedKubeconfig(
  stored: string,
  parts: Partial<Parts> & Pick<Parts, 'token'>,
  now: Date,
): Read {
  const config = readYaml(stored)
  const name = 'gatesmith'
  const before =
    typeof config === 'string' ? config : named(config, 'clusters', { name, member: 'cluster' })
  if (typeof before === 'string') throw new Error(`The stored kubeconfig cannot be read: ${before}`)
  // It names the certificate of that server.
  const { 'tls-server-name': serverName, ...rest } = before
  const same = parts.server === undefined || parts.server === before.server
  return assembled(same ? { ...rest, 'tls-server-name': serverName } : rest, parts, now)
}

type Read = { readonly kubeconfig: Kubeconfig } | { readonly violations: readonly Violation[] }

function assembled(
  before: Fields,
  { server, ca, token }: Partial<Parts> & Pick<Parts, 'token'>,
  now: Date,
): Read {
  const trust =
    ca === undefined
      ? {}
      : { 'certificate-authority-data': Buffer.from(ca).toString('base64') || '-' }
  const wrongToken = tokenFault(token, now)
  const violations = [
    ...(server === undefined ? [] : serverFault(server)).map(
      (fault) => ['/server', fault] as const,
    ),
    ...anchorFaults(trust, now).map(() => ['/ca', caFault] as const),
    ...(wrongToken === undefined ? [] : [['/token', wrongToken] as const]),
  ].map(([field, fault]) => ({ field, message: fault.replace(/^(cluster|user): /, '') }))
  if (violations.length > 0) return { violations }
  const url = String(server ?? before.server).replace(/\/+$/, '')
  const text = minimised({ ...before, ...trust, server: url }, { token })
  return { kubeconfig: { server: url, text } }
}

const caFault =
  'ca must be PEM, with the CA certificates by which the Kubernetes API is trusted; one at least that has not expired'

function refusal(messages: readonly string[]) {
  return { violations: messages.map((message) => ({ field: '/kubeconfig', message })) }
}

/** The mapping, or why it is none. */
function readYaml(text: string): Fields | string {
  const none = 'This is not a YAML mapping without aliases, as a kubeconfig is'
  if (text.length > kubeconfigLimit || isExcessive(text)) return none
  try {
    const document = parseDocument(text, { logLevel: 'error', uniqueKeys: false })
    if (document.errors.some(({ code }) => code === 'MULTIPLE_DOCS')) {
      return 'There is more than one YAML document: send one kubeconfig'
    }
    if (repeatsKey(document)) {
      return 'A key stands twice in one YAML mapping: readers differ in which of them they take'
    }
    const value: unknown = document.errors.length > 0 ? undefined : document.toJS(noAliases)
    return isFields(value) ? value : none
  } catch {
    return none
  }
}

/** More than a hundred clusters take. */
const mostTokens = 40_000

/** Whether a text has anchors, aliases or more parts than a kubeconfig does: seen before anything is built
 *  of it, as that takes time which grows with the square of their number. */
function isExcessive(text: string): boolean {
  let left = mostTokens
  let before = ''
  for (const token of new Lexer().lex(text)) {
    const named = before !== scalarFollows && /^[&*]/.test(token)
    if (named || left-- === 0) return true
    before = token
  }
  return false
}

const scalarFollows = '\x1f'

/** The parser's own question is asked of each key about each other. */
function repeatsKey(document: Document): boolean {
  let repeats = false
  visit(document, {
    Map: (_, { items }) => {
      const keys = items.map(({ key }) => (isScalar(key) ? String(key.value) : key))
      repeats ||= new Set(keys).size < keys.length
    },
  })
  return repeats
}

function kindFaults({ apiVersion, kind }: Fields): readonly string[] {
  return [
    ...(isStated(apiVersion) && apiVersion !== 'v1' ? ['apiVersion is not v1'] : []),
    ...(isStated(kind) && kind !== 'Config' ? ['kind is not Config: this is no kubeconfig'] : []),
  ]
}

/** An alias of an alias of … would grow without bound, and no tool writes any. */
const noAliases = { maxAliasCount: 0 }

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The one entry of this name in a list, or why there is none. */
function named(
  config: Fields,
  listed: string,
  { name, member }: { readonly name: unknown; readonly member: string },
): Fields | string {
  const list = config[listed]
  const found = Array.isArray(list) ? list.filter(isFields).filter((one) => one.name === name) : []
  if (found.length > 1) return `${listed} has "${String(name)}" more than once`
  const value = found[0]?.[member]
  return isFields(value) ? value : `${listed} has no "${String(name)}"`
}

function clusterFaults(cluster: Fields, now: Date): readonly string[] {
  const serverName = cluster['tls-server-name']
  const readable = typeof serverName === 'string' && /^[\x21-\x7e]+$/.test(serverName)
  return [
    ...fieldFaults(cluster, 'cluster'),
    ...serverFault(cluster.server),
    ...(isStated(serverName) && !readable ? ['cluster: tls-server-name is not a host name'] : []),
    ...anchorFaults(cluster, now),
  ]
}

function userFaults(user: Fields, now: Date): readonly string[] {
  const token = isStated(user.token) ? tokenFault(user.token, now) : undefined
  const faults = [
    ...fieldFaults(user, 'user'),
    ...clientFaults(user, now),
    ...(token === undefined ? [] : [token]),
  ]
  const some = isStated(user.token) || isStated(user['client-certificate-data'])
  return faults.length > 0 || some
    ? faults
    : ['user: there is neither a token nor a client certificate']
}

function fieldFaults(fields: Fields, part: 'cluster' | 'user'): readonly string[] {
  const reasons: Readonly<Record<string, string>> = refused[part]
  const fine: readonly string[] = [...known[part].kept, ...known[part].idle]
  return Object.entries(fields).flatMap(([field, value]) => {
    if (fine.includes(field) || value === null || value === false || value === '') return []
    const reason = Object.hasOwn(reasons, field) ? reasons[field] : 'is not supported: leave it out'
    return [`${part}: ${field} ${reason}`]
  })
}

/** As Kubernetes clients read it: the scheme as it stands, nothing trimmed. */
function serverFault(server: unknown): readonly string[] {
  const plain = typeof server === 'string' && /^https:\/\/[\x21-\x7e]+$/.test(server)
  const url = plain ? URL.parse(server) : null
  if (!url) return ['cluster: server must be an https URL, in lower case and without blanks']
  // An empty query takes in every path that is put behind it.
  if (/[?#@\\]/.test(String(server)) || url.port === '0') {
    return ['cluster: server must be a plain URL, without user, query, fragment or backslash']
  }
  const host = bareHost(url.hostname)
  return isForbiddenAddress(host) ? [`cluster: server: ${forbiddenMessage(host)}`] : []
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
  const kept = Object.entries(fields).filter(
    ([name, value]) => names.includes(name) && isStated(value),
  )
  return Object.fromEntries(kept)
}

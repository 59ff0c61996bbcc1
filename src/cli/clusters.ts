import { answerOf, each, type Schemas } from '@gatesmith/client'
import { durationIn } from './certificates.ts'
import { CommandError, type Io } from './io.ts'
import { filterIn, queryOf } from './nouns.ts'
import { asData, print, printable, span, until } from './print.ts'
import { openSession, type Remote, type Session } from './session/contexts.ts'

/** `gatesmith listeners`: which names each gateway answers to, and where they lead. */
export async function listeners(
  io: Io,
  cluster: string,
  options: Remote & { readonly host?: string; readonly port?: string; readonly state?: string },
): Promise<void> {
  const session = await openSession(io, options)
  const { host, port, state } = options
  const found: Schemas['Listener'][] = []
  for await (const listener of each<Schemas['Listener']>((page) =>
    session.client.GET('/v1/clusters/{cluster}/listeners', {
      ...queryOf({ limit: '200', host, port, state, ...page }),
      params: { path: { cluster } },
    }),
  )) {
    found.push(listener)
  }
  await print(session, found, {
    name: ({ listener }) => listener ?? '-',
    none: 'No listeners found',
    columns: [
      { title: 'ADDRESSES', value: ({ addresses }) => addresses },
      { title: 'PORT', value: ({ port }) => port },
      { title: 'MATCH', value: ({ match }) => match },
      { title: 'DESTINATION', value: ({ destination }) => destination },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'HOST', value: ({ host }) => host },
      { title: 'POD', value: ({ pod }) => pod, wide: true },
      { title: 'GATEWAY', value: ({ gateway }) => gateway, wide: true },
      { title: 'REASON', value: ({ reason }) => reason, wide: true },
    ],
  })
}

type InventoryOptions = Remote & {
  readonly cluster?: string
  readonly within?: string
  readonly name?: string
}

/** `gatesmith inventory`: certificates that gateways hold and that nobody has here. */
export async function inventory(io: Io, options: InventoryOptions): Promise<void> {
  const session = await openSession(io, options)
  const { cluster, within, name } = options
  const expiringWithin = within === undefined ? undefined : durationIn(within)
  const found: Schemas['ForeignCertificate'][] = []
  for await (const one of each<Schemas['ForeignCertificate']>((page) =>
    session.client.GET(
      '/v1/foreign-certificates',
      queryOf({ limit: '200', cluster, name, expiringWithin, ...page }),
    ),
  )) {
    found.push(one)
  }
  await print(session, found, {
    name: ({ id }) => `foreign-certificate/${id}`,
    none: 'No certificates found that are not on record here',
    columns: [
      { title: 'CLUSTER', value: ({ cluster: it }) => it },
      { title: 'NAMES', value: ({ dnsNames, subject }) => dnsNames.join(',') || subject },
      { title: 'ISSUER', value: ({ issuer }) => issuer },
      { title: 'EXPIRES', value: ({ notAfter }) => until(notAfter) },
      { title: 'CREDENTIAL', value: ({ credential }) => credential },
      { title: 'SEEN', value: ({ seenAt }) => span(seenAt) },
      { title: 'INGRESS', value: ({ ingress }) => ingress, wide: true },
      { title: 'SERVED FOR', value: ({ servedNames }) => servedNames.join(',') || '-', wide: true },
      { title: 'GATEWAYS', value: ({ gateways }) => gateways.join(',') || '-', wide: true },
      { title: 'SERIAL', value: ({ serial }) => serial, wide: true },
      { title: 'SHA-256', value: ({ fingerprintSha256 }) => fingerprintSha256, wide: true },
    ],
  })
  await tellUnread(session, cluster)
}

/** Of which gateways nothing is known is said beside the list, lest it look whole. */
async function tellUnread(session: Session, cluster: string | undefined): Promise<void> {
  const names: string[] = cluster === undefined ? [] : [cluster]
  if (cluster === undefined) {
    for await (const { name } of each<Schemas['Cluster']>((page) =>
      session.client.GET('/v1/clusters', queryOf({ limit: '200', ...page })),
    )) {
      names.push(name)
    }
  }
  for (const name of names) {
    const { items } = await answerOf(
      session.client.GET('/v1/clusters/{cluster}/gateways', {
        params: { path: { cluster: name } },
      }),
    )
    if (items.length === 0) session.io.err.write(`${name}: not read yet\n`)
    for (const { ingress, pod, reason } of items) {
      if (reason === null) continue
      session.io.err.write(printable(`${name}/${ingress}/${pod ?? '-'} was not read: ${reason}\n`))
    }
  }
}

type MeshOptions = Remote & {
  readonly mesh?: string
  readonly defaults?: string
  readonly dryRun?: true
  readonly force?: true
  readonly revision?: string
}

/** `gatesmith mesh-tls`: the TLS versions of a mesh; sets them where asked to, and shows what changes. */
export async function meshTls(io: Io, cluster: string, options: MeshOptions): Promise<void> {
  const session = await openSession(io, options)
  const { mesh, defaults, dryRun, force, revision } = options
  const columns = [
    { title: 'REVISION', value: (it: Schemas['MeshTls']) => it.revision },
    { title: 'MESH', value: (it: Schemas['MeshTls']) => said(it.meshMTLS) },
    { title: 'DEFAULTS', value: (it: Schemas['MeshTls']) => said(it.tlsDefaults) },
    { title: 'ISTIO', value: (it: Schemas['MeshTls']) => it.istioVersion },
    { title: 'OWNER', value: (it: Schemas['MeshTls']) => it.owner },
  ]
  const name = ({ revision: it }: Schemas['MeshTls']) => it
  if (mesh === undefined && defaults === undefined) {
    const call = session.client.GET('/v1/clusters/{cluster}/mesh-tls', {
      ...queryOf({ revision }),
      params: { path: { cluster } },
    })
    const { revisions, warnings } = await answerOf(call)
    await print(session, revisions, { columns, name })
    for (const warning of warnings) io.err.write(`${warning}\n`)
    return
  }
  const setting = (version: string | undefined) =>
    version === undefined
      ? undefined
      : { minProtocolVersion: version === 'default' ? null : version }
  const asked = { meshMTLS: setting(mesh), tlsDefaults: setting(defaults), force }
  const change = await answerOf(
    session.client.PUT('/v1/clusters/{cluster}/mesh-tls', {
      ...queryOf({ revision, dryRun: dryRun ? 'true' : undefined }),
      params: { path: { cluster } },
      body: JSON.parse(JSON.stringify(asked)),
    }),
  )
  if (session.output !== 'table' && session.output !== 'wide') {
    return print(session, [change], { single: true, columns: [], name: () => cluster })
  }
  io.out.write(change.changed ? `${change.diff.trimEnd()}\n` : 'Nothing changes\n')
}

const said = ({ effective, source }: Schemas['MeshTlsSetting']) => `${effective} (${source})`

/** Which service `gatesmith rbac <cluster>` asks. */
export type RbacRemote = Pick<Remote, 'server' | 'tokenFile' | 'context'>

type RbacOptions = RbacRemote & {
  readonly name?: string
  readonly namespace?: string
  readonly listeners?: true
  readonly meshTls?: true
  readonly token?: true
  /** The options that were said. */
  readonly given: readonly string[]
}

/** `gatesmith rbac <cluster>`: what the service's account needs there, as YAML for kubectl. Options that say what the
 *  service itself knows of a cluster that is registered are refused. */
export async function rbac(io: Io, cluster: string, options: RbacOptions): Promise<void> {
  const { name, namespace, listeners, meshTls, token, given } = options
  const taken = ['name', 'namespace', 'listeners', 'meshTls', 'token', 'server', 'tokenFile']
  const known = given.filter((each) => ![...taken, 'context'].includes(each))
  if (known.length > 0) {
    const flags = known.map((each) => `--${each.replace(/[A-Z]/g, (it) => `-${it.toLowerCase()}`)}`)
    throw new CommandError(
      `Leave out ${flags.join(', ')}: the service knows that of "${cluster}", as its hosts need it`,
    )
  }
  const session = await openSession(io, options)
  const query = JSON.parse(JSON.stringify({ name, namespace, listeners, meshTls, token }))
  const call = session.client.GET('/v1/clusters/{cluster}/rbac', {
    params: { path: { cluster }, query },
    parseAs: 'text',
    headers: { accept: 'application/yaml' },
  })
  io.out.write(await answerOf(call))
}

type AuditOptions = Remote & {
  readonly filter?: readonly string[]
  readonly since?: string
  readonly limit?: number
  readonly export?: true
}

/** `gatesmith audit`: who did what, newest first; or all of it as it is checked, oldest first. */
export async function audit(io: Io, options: AuditOptions): Promise<void> {
  const session = await openSession(io, options)
  const filters = Object.fromEntries((options.filter ?? []).map(filterIn))
  const asked = { tenant: session.tenant, from: options.since, ...filters }
  if (options.export) {
    const stream = await answerOf(
      session.client.GET('/v1/audit-events', {
        ...queryOf(asked),
        parseAs: 'stream',
        headers: { accept: 'application/x-ndjson' },
      }),
    )
    const decoder = new TextDecoder()
    for await (const chunk of stream ?? []) io.out.write(decoder.decode(chunk, { stream: true }))
    return
  }
  const found: Schemas['AuditEvent'][] = []
  for await (const event of each<Schemas['AuditEvent']>((page) =>
    session.client.GET(
      '/v1/audit-events',
      queryOf({ limit: '100', sort: '-seq', ...asked, ...page }),
    ),
  )) {
    if (found.length >= (options.limit ?? 50)) break
    found.push(event)
  }
  await print(session, found, {
    name: ({ seq }) => seq,
    none: 'No events found',
    columns: [
      { title: 'SEQ', value: ({ seq }) => seq },
      { title: 'AT', value: ({ at }) => at },
      { title: 'ACTOR', value: ({ actor }) => actor.name },
      { title: 'ACTION', value: ({ action }) => action },
      { title: 'SUBJECT', value: ({ subject }) => `${subject.kind}/${subject.name}` },
      { title: 'TENANT', value: ({ tenant }) => tenant },
      { title: 'REQUEST', value: ({ requestId }) => requestId, wide: true },
      { title: 'CHANGES', value: ({ changes }) => Object.keys(changes).join(','), wide: true },
    ],
  })
}

/** `gatesmith graphql`: a query's answer, as JSON or YAML. */
export async function graphql(
  io: Io,
  query: string,
  options: Remote & { readonly variable?: readonly string[] },
): Promise<number> {
  const session = await openSession(io, options)
  const variables = Object.fromEntries((options.variable ?? []).map(filterIn))
  const answer = await answerOf(session.client.POST('/graphql', { body: { query, variables } }))
  io.out.write(await asData(session.output, answer))
  return answer.errors === undefined ? 0 : 1
}

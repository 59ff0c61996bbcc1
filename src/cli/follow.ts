import { answerOf, each, follow, type Schemas } from '@gatesmith/client'
import { CommandError, exits, type Io } from './io.ts'
import { hostOf, named, nounOf, queryOf } from './nouns.ts'
import { painted, print, printable } from './print.ts'
import { openSession, type Remote, type Session, tenantOf } from './session/contexts.ts'

type HostName = { readonly tenant: string; readonly name: string }
type State = 'Applied' | 'Synced' | 'Settled' | 'Removed'

/** `gatesmith wait`: until the hosts are so. */
export async function wait(
  io: Io,
  words: readonly string[],
  options: Remote & { readonly for: string; readonly timeout: number },
): Promise<number> {
  const { noun, names } = named(words)
  if (noun !== nounOf('hosts') || names.length === 0) {
    throw new CommandError('Name hosts: gatesmith wait host/shop.example.com --for Synced')
  }
  const session = await openSession(io, options)
  const tenant = tenantOf(session)
  const hosts = names.map((name) => ({ tenant, name }))
  return waitFor(session, hosts, { state: stateIn(options.for), seconds: options.timeout })
}

/** Waits until each host is in the state; 0, or 1 for one that has settled otherwise, or 8 when the time is over. */
export async function waitFor(
  session: Session,
  hosts: readonly HostName[],
  { state, seconds }: { readonly state: State; readonly seconds: number },
): Promise<number> {
  const { io, client } = session
  const end = Date.now() + seconds * 1000
  for (const { tenant, name } of hosts) {
    if (io.terminal) io.err.write(`Waiting for host/${name} to be ${state} …\n`)
    for (;;) {
      const left = Math.ceil((end - Date.now()) / 1000)
      const timeout = Math.min(60, Math.max(1, left))
      const params = { path: { tenant, host: name }, query: { wait: state, timeout } }
      const found = await answerOf(
        client.GET('/v1/tenants/{tenant}/hosts/{host}', { params }),
      ).catch((error: { type?: string }) => {
        if (state === 'Removed' && error.type === 'host-unknown') return undefined
        throw error
      })
      if (found === undefined || isSo(found, state)) break
      const failed = found.status.clusters.find(({ status }) => /^(Failed|Conflict)$/.test(status))
      if (left <= 0) {
        const why = failed ? `: ${failed.status} on ${failed.cluster}, ${failed.message}` : ''
        io.err.write(printable(`host/${name} is not ${state} after ${seconds} s${why}`))
        io.err.write('\n')
        return exits.late
      }
    }
    io.out.write(`host/${name} ${painted(io, 'green', state)}\n`)
  }
  return exits.done
}

function isSo({ status }: Schemas['Host'], state: State): boolean {
  const reached = {
    Applied: ['Applied', 'Synced'],
    Synced: ['Synced'],
    Settled: ['Synced', 'Failed', 'Conflict'],
    Removed: [],
  } as const
  return status.clusters.every((placement) =>
    reached[state].some((word) => word === placement.status),
  )
    ? state !== 'Removed'
    : false
}

function stateIn(word: string): State {
  const states = ['Applied', 'Synced', 'Settled', 'Removed'] as const
  const found = states.find((state) => state.toLowerCase() === word.toLowerCase())
  if (found) return found
  throw new CommandError(`--for takes one of ${states.join(', ')}`)
}

/** `gatesmith probe`: what the ingress serves, by a handshake of the service's own. 1 when it is not as expected. */
export async function probe(
  io: Io,
  host: string,
  options: Remote & {
    readonly cluster?: string
    readonly path?: string
    readonly clientCertificate?: string
  },
): Promise<number> {
  const session = await openSession(io, options)
  const path = { tenant: tenantOf(session), host }
  const { cluster, path: asked, clientCertificate } = options
  const body = {
    ...(cluster === undefined ? {} : { cluster }),
    ...(asked === undefined ? {} : { path: asked }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
  }
  const { results } = await answerOf(
    session.client.POST('/v1/tenants/{tenant}/hosts/{host}/probe', { params: { path }, body }),
  )
  await print(session, results, {
    name: (result) => result.cluster,
    columns: [
      { title: 'CLUSTER', value: (result) => result.cluster },
      { title: 'ADDRESS', value: ({ address }) => address },
      { title: 'TLS', value: ({ tls }) => tls?.version },
      { title: 'SERVED', value: ({ tls }) => tls?.served.serial },
      { title: 'ISSUED', value: ({ tls }) => tls && (tls.issuedIsServed ? 'yes' : 'no') },
      { title: 'TRUSTED', value: ({ tls }) => tls && (tls.trusted ? 'yes' : 'no') },
      { title: 'HTTP', value: ({ http }) => http?.status },
      { title: 'AS EXPECTED', value: ({ asExpected }) => (asExpected ? 'yes' : 'no') },
      { title: 'CIPHER', value: ({ tls }) => tls?.cipher, wide: true },
    ],
  })
  for (const { cluster: at, error, checks } of results) {
    if (error !== null) io.err.write(printable(`${at}: ${error}`).concat('\n'))
    for (const { check, expected, found, ok } of checks) {
      if (ok !== false) continue
      io.err.write(printable(`${at}: ${check}: expected ${expected}, found ${found}`).concat('\n'))
    }
  }
  return results.every(({ asExpected }) => asExpected) ? exits.done : exits.no
}

/** `gatesmith events`: what is kept, or with `follow` what happens from now on, until Ctrl-C. */
export async function events(
  io: Io,
  options: Remote & { readonly follow?: true; readonly after?: string; readonly limit?: number },
): Promise<void> {
  const session = await openSession(io, options)
  const { client, tenant, output } = session
  const tell = ({ at, type, subject, tenant: whose, data }: Schemas['Event']) =>
    printable(
      `${at}  ${type.padEnd(26)} ${subject.kind}/${subject.name} (${whose ?? 'platform'})  ${saidIn(data)}`,
    )
  const one = (event: Schemas['Event']) =>
    io.out.write(`${output === 'json' ? JSON.stringify(event) : tell(event)}\n`)
  if (options.follow) {
    const where = {
      signal: io.signal,
      ...(tenant === undefined ? {} : { tenant }),
      ...(options.after === undefined ? {} : { after: options.after }),
      onReset: () => io.err.write('Some events are no longer kept: what follows begins now\n'),
    }
    for await (const event of follow(client, where)) one(event)
    return
  }
  let left = options.limit ?? Number.POSITIVE_INFINITY
  const filters = { limit: '200', after: options.after }
  for await (const event of each<Schemas['Event']>((page) => {
    const query = queryOf({ ...filters, ...page })
    return tenant === undefined
      ? client.GET('/v1/events', query)
      : client.GET('/v1/tenants/{tenant}/events', { ...query, params: { path: { tenant } } })
  })) {
    if (left-- <= 0) break
    one(event)
  }
}

const saidIn = (data: Readonly<Record<string, unknown>>) =>
  Object.entries(data)
    .filter(([, value]) => value !== null && typeof value !== 'object')
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')

/** `gatesmith describe host` shows what became of it; this is the certificate that a host or an id names. */
export async function certificateId(session: Session, word: string): Promise<string> {
  const [, id] = /^(?:certificate|cert)\/(.+)$/.exec(word) ?? []
  if (id !== undefined) return id
  const [, host] = /^host\/(.+)$/.exec(word) ?? []
  if (host === undefined) return word
  const { status } = await hostOf(session, host)
  if (status.certificate) return status.certificate.id
  throw new CommandError(`host/${host} has no certificate yet`, exits.conflict)
}

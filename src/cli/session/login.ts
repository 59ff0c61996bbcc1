import { resolve } from 'node:path'
import { answerOf } from '@gatesmith/client'
import { CommandError, exits, type Io, inputOf, tokenIn } from '../io.ts'
import { print } from '../print.ts'
import {
  type Context,
  clientFor,
  contextsPath,
  openSession,
  type Remote,
  readContexts,
  trust,
  writeContexts,
} from './contexts.ts'

type LoginOptions = {
  readonly name?: string
  readonly tokenFile?: string
  readonly oidc?: true
  readonly clientId: string
  readonly scope: string
  readonly tenant?: string
  readonly caFile?: string
}

/** `gatesmith login`: asks the service who this is, and keeps it as a context. */
export async function login(io: Io, server: string, options: LoginOptions): Promise<void> {
  const url = server.includes('://') ? server.replace(/\/+$/, '') : `https://${server}`
  const caFile = options.caFile === undefined ? undefined : resolve(options.caFile)
  if (caFile !== undefined) await trust(caFile)
  const credentials = await credentialsFor(io, url, options)
  const { token } = credentials
  const who = await answerOf(clientFor(io, url, token).GET('/v1/whoami'))
  const tenant = options.tenant ?? who.tenant ?? undefined
  const context: Context = {
    server: url,
    ...credentials,
    ...(tenant === undefined ? {} : { tenant }),
    ...(caFile === undefined ? {} : { caFile }),
  }
  const name = options.name ?? new URL(url).host
  const { contexts } = await readContexts(io)
  await writeContexts(io, { current: name, contexts: { ...contexts, [name]: context } })
  const whose = who.tenant === null ? 'platform-wide' : `of tenant ${who.tenant}`
  io.out.write(`Logged in to ${url} as "${who.name}", ${who.role}, ${whose}\n`)
  io.out.write(`Kept as context "${name}" in ${contextsPath(io)}\n`)
}

/** `gatesmith logout`: forgets a context, the current one where none is named. */
export async function logout(io: Io, name: string | undefined): Promise<void> {
  const { current, contexts } = await readContexts(io)
  const chosen = name ?? current
  if (chosen === undefined || !(chosen in contexts)) {
    throw new CommandError(`There is no context "${chosen ?? ''}"`)
  }
  const key =
    contexts[chosen]?.signIn === undefined
      ? 'Its API key stays good until it is revoked.'
      : 'You stay signed in at your provider.'
  const left = Object.fromEntries(Object.entries(contexts).filter(([each]) => each !== chosen))
  const stays = current !== undefined && current !== chosen ? { current } : {}
  await writeContexts(io, { ...stays, contexts: left })
  io.out.write(`Forgot context "${chosen}". ${key}\n`)
}

/** `gatesmith context list`. Tokens are never shown. */
export async function listContexts(io: Io, output: string): Promise<void> {
  const { current, contexts } = await readContexts(io)
  const items = Object.entries(contexts).map(([name, { server, tenant }]) => ({
    current: name === current,
    name,
    server,
    tenant: tenant ?? null,
  }))
  await print({ io, output }, items, {
    name: ({ name }) => name,
    none: 'No context is kept: gatesmith login <server>',
    columns: [
      { title: 'CURRENT', value: (item) => (item.current ? '*' : '') },
      { title: 'NAME', value: ({ name }) => name },
      { title: 'SERVER', value: ({ server }) => server },
      { title: 'TENANT', value: ({ tenant }) => tenant },
    ],
  })
}

/** `gatesmith context use` and `context set`: which one is meant from now on, and whose tenant. */
export async function setContext(
  io: Io,
  { name, tenant }: { readonly name?: string; readonly tenant?: string },
): Promise<void> {
  const { current, contexts } = await readContexts(io)
  const chosen = name ?? current
  const found = chosen === undefined ? undefined : contexts[chosen]
  if (chosen === undefined || found === undefined) {
    throw new CommandError(`There is no context "${chosen ?? ''}": gatesmith context list`)
  }
  const changed = tenant === undefined ? found : { ...found, tenant }
  await writeContexts(io, { current: chosen, contexts: { ...contexts, [chosen]: changed } })
  const whose = changed.tenant === undefined ? '' : `, tenant ${changed.tenant}`
  io.out.write(`Context "${chosen}": ${changed.server}${whose}\n`)
}

/** `gatesmith whoami`. */
export async function whoami(io: Io, options: Remote): Promise<void> {
  const session = await openSession(io, options)
  const who = await answerOf(session.client.GET('/v1/whoami'))
  await print(session, [who], {
    single: true,
    name: ({ name }) => name,
    columns: [
      { title: 'SERVER', value: () => session.server },
      { title: 'NAME', value: ({ name }) => name },
      { title: 'ROLE', value: ({ role }) => role },
      { title: 'TENANT', value: ({ tenant }) => tenant ?? '(all)' },
      { title: 'SCOPES', value: ({ scopes }) => scopes?.join(',') ?? '(all of the role)' },
      { title: 'EXPIRES', value: ({ expiresAt }) => expiresAt ?? 'never' },
    ],
  })
}

async function credentialsFor(io: Io, server: string, options: LoginOptions) {
  if (options.oidc === undefined) return { token: await askedToken(io, options.tokenFile) }
  if (options.tokenFile !== undefined) {
    throw new CommandError('Say --oidc or --token-file: one of them is how you log in')
  }
  const { signInByDevice } = await import('./signin.ts')
  return signInByDevice(io, server, options)
}

/** From a file, the environment, or the standard input: what is typed at a terminal is not shown. */
async function askedToken(io: Io, file: string | undefined): Promise<string> {
  if (file !== undefined && file !== '-') return tokenIn(file)
  if (file === undefined && io.env.GATESMITH_TOKEN) return io.env.GATESMITH_TOKEN.trim()
  if (file === undefined && process.stdin.isTTY) return typed(io)
  const token = (await inputOf(io)).trim()
  if (token !== '') return token
  throw new CommandError('Give the API key by --token-file, GATESMITH_TOKEN or the standard input')
}

function typed(io: Io): Promise<string> {
  const { stdin } = process
  io.err.write('API key: ')
  stdin.setRawMode(true)
  return new Promise((resolve, reject) => {
    let text = ''
    const read = (chunk: Buffer) => {
      for (const letter of chunk.toString('utf8')) {
        if (letter === '\u0003') return end(() => reject(new CommandError('', exits.interrupted)))
        if (letter === '\r' || letter === '\n') return end(() => resolve(text.trim()))
        text = letter === '\u007f' ? text.slice(0, -1) : text + letter
      }
    }
    const end = (then: () => void) => {
      stdin.off('data', read).setRawMode(false).pause()
      io.err.write('\n')
      then()
    }
    stdin.on('data', read).resume()
  })
}

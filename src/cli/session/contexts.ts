import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Client, createClient } from '@gatesmith/client'
import { CommandError, exits, type Io, textOf, tokenIn } from '../io.ts'
import type { SignIn } from './signin.ts'

/** A service and who one is there, kept by name. */
export type Context = {
  readonly server: string
  readonly token?: string
  /** That the token is of a person, who signed in at a provider. */
  readonly signIn?: SignIn
  /** Whose things are meant when no --tenant is given. */
  readonly tenant?: string
  /** A file with certificates that the service's own is trusted by, beside the system's. */
  readonly caFile?: string
}

/** What `login` keeps. */
export type Contexts = {
  readonly current?: string
  readonly contexts: Readonly<Record<string, Context>>
}

/** The options that every command which asks the service takes. */
export type Remote = {
  readonly server?: string
  readonly tokenFile?: string
  readonly context?: string
  readonly tenant?: string
  readonly allTenants?: true
  readonly output?: string
}

/** A command's hand on the service, and what it was asked to print. */
export type Session = {
  readonly io: Io
  readonly client: Client
  readonly server: string
  /** undefined: of all tenants. */
  readonly tenant: string | undefined
  readonly output: string
}

/** Where contexts are kept: GATESMITH_CONFIG, or gatesmith/config.json where the system keeps settings. */
export function contextsPath({ env }: Io): string {
  const folder = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config')
  return env.GATESMITH_CONFIG || join(folder, 'gatesmith', 'config.json')
}

/** What is kept; nothing when there is no file. Throws one sentence about a file that cannot be read. */
export async function readContexts(io: Io): Promise<Contexts> {
  const path = contextsPath(io)
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new CommandError(`${path} cannot be read: ${error.message}`)
  })
  if (text === undefined) return { contexts: {} }
  try {
    return { contexts: {}, ...JSON.parse(text) }
  } catch {
    throw new CommandError(`${path} is not JSON: put it right, or delete it and log in again`)
  }
}

/** Keeps them, whole or not at all, in a file that only its user can read (0600). */
export async function writeContexts(io: Io, contexts: Contexts): Promise<void> {
  const path = contextsPath(io)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const text = `${JSON.stringify(contexts, null, 2)}\n`
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  // One that a process left behind keeps its mode.
  await chmod(`${path}.new`, 0o600)
  await rename(`${path}.new`, path)
}

/** The hand on the service that these options, the environment (GATESMITH_SERVER, GATESMITH_TOKEN, GATESMITH_TENANT,
 *  GATESMITH_CONTEXT) and the kept contexts name, in this order. A kept token goes to its own server alone. */
export async function openSession(io: Io, options: Remote): Promise<Session> {
  const context = await contextOf(io, options)
  const server = options.server ?? (io.env.GATESMITH_SERVER || context?.server)
  if (server === undefined) {
    throw new CommandError('Log in first: gatesmith login <server>, or say --server', exits.usage)
  }
  const { caFile } = context ?? {}
  if (caFile !== undefined) await trust(caFile)
  const token =
    (await givenToken(io, options.tokenFile)) ??
    (context?.server === server ? await keptToken(io, context) : undefined)
  if (token === undefined) {
    throw new CommandError(
      `No API key for ${server}: gatesmith login ${server}, or set GATESMITH_TOKEN`,
      exits.credentials,
    )
  }
  const tenant = options.tenant ?? (io.env.GATESMITH_TENANT || context?.tenant)
  return {
    io,
    server,
    client: clientFor(io, server, token),
    tenant: options.allTenants ? undefined : tenant,
    output: options.output ?? 'table',
  }
}

/** A client that tells a person why it waits. Throws when the server is no URL. */
export function clientFor(io: Io, server: string, token: string): Client {
  if (!URL.canParse(server) || !/^https?:/.test(server)) {
    throw new CommandError(`"${server}" is no URL: give one such as https://gatesmith.example.com`)
  }
  return createClient({
    server,
    token,
    signal: io.signal,
    onRetry: (why, seconds) =>
      io.err.write(`${why}; asking again in ${Math.max(1, Math.round(seconds))} s …\n`),
  })
}

/** Trusts the certificates of a PEM file from now on, beside those of the system. */
export async function trust(caFile: string): Promise<void> {
  const { getCACertificates, setDefaultCACertificates } = await import('node:tls')
  setDefaultCACertificates([...getCACertificates('default'), await textOf(caFile, "The CA's file")])
}

/** The tenant that is meant. Throws when nobody said which. */
export function tenantOf({ tenant }: Session): string {
  if (tenant !== undefined) return tenant
  throw new CommandError(
    'Which tenant? Say --tenant, set GATESMITH_TENANT, or keep one: gatesmith context set --tenant <tenant>',
  )
}

async function contextOf(io: Io, options: Remote): Promise<Context | undefined> {
  const name = options.context ?? (io.env.GATESMITH_CONTEXT || undefined)
  if (name === undefined && options.server && options.tokenFile && options.tenant) return undefined
  const { current, contexts } = await readContexts(io)
  const chosen = name ?? current
  if (chosen === undefined) return undefined
  const found = contexts[chosen]
  if (found === undefined && name !== undefined) {
    throw new CommandError(`There is no context "${name}": gatesmith context list shows those kept`)
  }
  return found
}

async function givenToken(io: Io, file: string | undefined): Promise<string | undefined> {
  return file === undefined ? io.env.GATESMITH_TOKEN?.trim() || undefined : tokenIn(file)
}

/** The token of a context. That of a person who signed in is renewed, and kept, when it has ended. */
async function keptToken(io: Io, context: Context): Promise<string | undefined> {
  if (context.signIn === undefined) return context.token
  const { renewed } = await import('./signin.ts')
  const fresh = await renewed(io, context.signIn)
  if (fresh === undefined) return context.token
  const { contexts, ...rest } = await readContexts(io)
  // Under whatever name it is kept: the provider may take the old refresh token only once.
  const changed = Object.entries(contexts).map(([name, each]) => [
    name,
    each.signIn?.refreshToken === context.signIn?.refreshToken ? { ...each, ...fresh } : each,
  ])
  await writeContexts(io, { ...rest, contexts: Object.fromEntries(changed) })
  return fresh.token
}

import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import { partsOf, safeLookup } from '../addresses.ts'
import { type Kube, KubeError } from '../kubernetes/kube.ts'
import { createPruner, type Wanted } from './prune.ts'

/** Envoy's admin interface, which listens inside its pod alone. */
const adminPort = 15000

/** What one answer may be: octets that come over the wire, those of them that are kept, and how long all
 *  of it may take. Each host is some 12 KiB of a dump, of which half a KiB is kept. */
const answerLimits = {
  octets: 64 * 1024 * 1024,
  kept: 16 * 1024 * 1024,
  milliseconds: 20_000,
} as const

/** Asks an Envoy for a path of its admin interface; answers the wanted parts of it. Throws AdminError. */
export type Admin = (path: string, wanted: Wanted) => Promise<unknown>

/** Why an Envoy could not be asked, for people to read. */
export class AdminError extends Error {}

/** The Envoy of a pod, through the Kubernetes API (pods/portforward). */
export function forwardedAdmin(
  kube: Kube,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Admin {
  return async (path, wanted) => {
    try {
      const stream = await kube.forward({ namespace, name, port: adminPort })
      try {
        return await ask(path, wanted, { createConnection: () => stream })
      } finally {
        stream.destroy()
      }
    } catch (error) {
      throw error instanceof KubeError ? refusalOf(error, namespace) : error
    }
  }
}

/** The Envoy whose admin interface is found at this address (host:port). */
export function addressedAdmin(address: string): Admin {
  const { host, port } = partsOf(address)
  return (path, wanted) => ask(path, wanted, { host, port, lookup: safeLookup, agent: false })
}

function refusalOf(error: KubeError, namespace: string): AdminError {
  const rights =
    error.fault === 'forbidden'
      ? `The credentials lack "get" and "create" on pods/portforward in namespace ${namespace}: `
      : 'The port of the pod was not forwarded: '
  return new AdminError(`${rights}${error.message}`, { cause: error })
}

async function ask(path: string, wanted: Wanted, options: RequestOptions): Promise<unknown> {
  const signal = AbortSignal.timeout(answerLimits.milliseconds)
  try {
    const message = await send(path, { ...options, signal })
    if (message.statusCode === 200) return await read(message, wanted)
    // What there is none of is no resource to Envoy.
    if (
      message.statusCode === 404 &&
      (await begins(message)).includes('not found in config dump')
    ) {
      return {}
    }
    message.destroy()
    throw new AdminError(`Envoy's admin interface answers ${message.statusCode}`)
  } catch (cause) {
    if (cause instanceof AdminError) throw cause
    throw new AdminError(sentence(cause), { cause })
  }
}

function send(path: string, options: RequestOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { host: 'localhost', connection: 'close' }
    request({ ...options, path, method: 'GET', headers })
      .on('response', resolve)
      .on('error', reject)
      .end()
  })
}

async function begins(message: IncomingMessage): Promise<string> {
  for await (const chunk of message) return String(chunk)
  return ''
}

async function read(message: IncomingMessage, wanted: Wanted): Promise<unknown> {
  const pruner = createPruner(wanted, answerLimits.kept)
  let size = 0
  for await (const chunk of message) {
    const octets: Buffer = chunk
    size += octets.length
    if (size > answerLimits.octets) {
      throw new AdminError(
        `Envoy's answer is longer than ${answerLimits.octets / 1024 / 1024} MiB, which is not read`,
      )
    }
    pruner.write(octets)
  }
  return pruner.end()
}

function sentence(cause: unknown): string {
  const { name, message } = cause instanceof Error ? cause : new Error(String(cause))
  if (name === 'TimeoutError' || name === 'AbortError') {
    return `Envoy did not answer whole within ${answerLimits.milliseconds / 1000} s`
  }
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : message
  return `Envoy's admin interface cannot be read: ${code}`
}

import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { request as plainRequest, type RequestOptions } from 'node:http'
import { request } from 'node:https'
import { delimiter, join } from 'node:path'
import { connect } from 'node:tls'

/** Whether a program can be run by its bare name. */
function isOnPath(program: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.some((folder) => folder !== '' && existsSync(join(folder, program)))
}

export const hasCurl = isOnPath('curl')
export const hasOpenssl = isOnPath('openssl')

/** What asks and what looks in these tests, for their names. */
export const asker = hasCurl ? 'curl' : 'node:https'
export const looker = hasOpenssl ? 'openssl' : 'node:tls'

/** One request to an ingress, as the runbook writes it. Certificates and keys are paths of PEM files. */
export type Ask = {
  readonly name: string
  /** IP address and port of the ingress. */
  readonly address: string
  readonly port: number
  readonly path: string
  /** Whom to trust; none: plain HTTP. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** What came of it: a status, or why there is none. */
export type Told = {
  readonly status: number
  readonly location: string
  readonly refused: string | null
}

/** Asks by curl, or by node where there is no curl. */
export function ask(asked: Ask): Promise<Told> {
  return hasCurl ? askByCurl(asked) : askByNode(asked)
}

async function askByCurl(asked: Ask): Promise<Told> {
  const { name, address, port, path, ca, cert, key } = asked
  const scheme = ca === undefined ? 'http' : 'https'
  const { code, out, err } = await run('curl', [
    ...['--silent', '--show-error', '--max-time', '60', '--noproxy', '*', '--output', '/dev/null'],
    ...['--write-out', '%{http_code} %{redirect_url}', '--resolve', `${name}:${port}:${address}`],
    ...(ca === undefined ? [] : ['--cacert', ca]),
    ...(cert === undefined ? [] : ['--cert', cert]),
    ...(key === undefined ? [] : ['--key', key]),
    `${scheme}://${name}:${port}${path}`,
  ])
  const [status = '0', location = ''] = out.split(' ')
  return { status: Number(status), location, refused: code === 0 ? null : err.trim() }
}

async function askByNode({ name, address, port, path, ca, cert, key }: Ask): Promise<Told> {
  const files = { ca, cert, key }
  const read = Object.entries(files).flatMap(([option, file]) =>
    file === undefined ? [] : [readFile(file).then((pem) => [option, pem] as const)],
  )
  const options: RequestOptions = {
    ...{ host: address, port, path, agent: false, headers: { host: `${name}:${port}` } },
    ...{ servername: name, signal: AbortSignal.timeout(60_000) },
    ...Object.fromEntries(await Promise.all(read)),
  }
  return new Promise((resolve) => {
    const asked = ca === undefined ? plainRequest(options) : request(options)
    asked.on('response', ({ statusCode = 0, headers: { location = '' } }) => {
      resolve({ status: statusCode, location, refused: null })
      asked.destroy()
    })
    asked.on('error', ({ message }) => resolve({ status: 0, location: '', refused: message }))
    asked.end()
  })
}

/** The certificates that an ingress sends for a name, leaf first; looked at by openssl, or by node
 *  where there is none (then the leaf alone). */
export async function served({ name, address, port }: Ask): Promise<readonly X509Certificate[]> {
  if (!hasOpenssl) return [await servedToNode(name, address, port)]
  const { out } = await run('openssl', [
    ...['s_client', '-connect', `${address}:${port}`, '-servername', name, '-showcerts'],
  ])
  const pems = out.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (pems.length === 0) throw new Error(`nothing is served for ${name}: ${out}`)
  return pems.map((pem) => new X509Certificate(pem))
}

function servedToNode(name: string, host: string, port: number): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const options = { host, port, servername: name, rejectUnauthorized: false }
    const socket = connect(options, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw))
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

function run(program: string, args: readonly string[]) {
  return new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = execFile(program, [...args], { timeout: 90_000 }, (_error, out, err) =>
      resolve({ code: child.exitCode, out, err }),
    )
    child.stdin?.end()
  })
}

import { type ChildProcess, execFile } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { extension } from '../src/x509/certificates/extensions.ts'
import { readCertificate } from '../src/x509/certificates/read.ts'
import { context, integer, octetString, sequence } from '../src/x509/der/encoding.ts'
import { oid, oids } from '../src/x509/der/oids.ts'
import { type IssuerHashes, issuerHashes } from '../src/x509/ocsp.ts'
import { recordRevoked } from './revoked.ts'
import { nativeSignatures, peakMegabytes, setStage, startServer } from './stage.ts'

// node bench/ocsp.ts [seconds = 8] [connections = 64] [server processes = 1]
// OCSP answers a second over HTTP, POST, a third of the requests with a nonce, asked by another process
// on this machine about many certificates, good, revoked and unknown. Beside it the machine's own limit.

type Load = {
  readonly ports: readonly number[]
  readonly seconds: number
  readonly connections: number
  /** Base64. */
  readonly requests: readonly string[]
}

const path = '/pki/bench-issuing/ocsp'

/** In the load's own process: prints answers a second and latencies as JSON. */
async function generate({ ports, seconds, connections, requests }: Load): Promise<void> {
  const messages = requests.map((base64) => {
    const body = Buffer.from(base64, 'base64')
    const head = [
      `POST ${path} HTTP/1.1`,
      'host: bench',
      'content-type: application/ocsp-request',
      `content-length: ${body.length}`,
    ]
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])
  })
  const latencies: number[] = []
  let failed = 0
  const end = performance.now() + seconds * 1000
  const lane = async (index: number) => {
    const socket = connect(ports[index % ports.length] ?? 0, '127.0.0.1').setNoDelay(true)
    for (let turn = index; performance.now() < end; turn += connections) {
      const sent = performance.now()
      const message = messages[turn % messages.length]
      if (message && (await isAnswered(socket, message))) latencies.push(performance.now() - sent)
      else failed++
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: connections }, (_, index) => lane(index)))
  latencies.sort((a, b) => a - b)
  const at = (share: number) => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1)
  const perSecond = Math.round(latencies.length / seconds)
  process.stdout.write(JSON.stringify({ perSecond, failed, p50: at(0.5), p99: at(0.99) }))
}

/** Whether a successful OCSPResponse came: 200, and a first octet sequence that says so. */
function isAnswered(socket: Socket, message: Buffer): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let read: Buffer = Buffer.alloc(0)
    const take = (data: Buffer) => {
      read = read.length === 0 ? data : Buffer.concat([read, data])
      const head = read.indexOf('\r\n\r\n')
      if (head < 0) return
      const status = read.toString('latin1', 0, head)
      const length = Number(/content-length: (\d+)/i.exec(status)?.[1])
      if (read.length < head + 4 + length) return
      socket.off('data', take)
      socket.off('error', reject)
      // OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED successful (0), ... }
      resolve(status.startsWith('HTTP/1.1 200') && read.includes(Buffer.of(0x0a, 0x01, 0x00), head))
    }
    socket.on('data', take).once('error', reject)
    socket.write(message)
  })
}

function requestFor(hashes: IssuerHashes, serial: string, nonce: boolean): Buffer {
  const { name, key } = hashes.sha1
  const algorithm = sequence(oid(oids.sha1), Buffer.of(5, 0))
  const number = integer(Buffer.from(serial, 'hex'))
  const id = sequence(algorithm, octetString(name), octetString(key), number)
  const value = octetString(Buffer.from(serial, 'hex'))
  const list = sequence(sequence(id))
  const wanted = context(2, sequence(extension(oids.ocspNonce, false, value)))
  return sequence(nonce ? sequence(list, wanted) : sequence(list))
}

async function measure(): Promise<void> {
  const [seconds = 8, connections = 64, processes = 1] = process.argv.slice(2).map(Number)
  const stage = await setStage()
  const { ctx } = stage
  const say = (line: string) => process.stdout.write(`${line}\n`)
  const servers: ChildProcess[] = []
  try {
    await recordRevoked(ctx, 10_000)
    const { der } = await ctx.db.read.issuer.findFirstOrThrow({
      where: { authority: { name: 'bench-issuing' } },
    })
    const { subjectDer, spki } = readCertificate(Buffer.from(der))
    const hashes = issuerHashes(subjectDer, spki)
    const rows = await ctx.db.read.certificate.findMany({ select: { serial: true }, take: 3000 })
    const unknown = Array.from({ length: 300 }, (_, n) => `6${n.toString(16).padStart(31, '0')}`)
    const requests = [...rows.map(({ serial }) => serial), ...unknown].map((serial, index) =>
      requestFor(hashes, serial, index % 3 === 0).toString('base64'),
    )
    const ports = Array.from({ length: processes }, (_, index) => 4200 + index)
    for (const port of ports) servers.push(await startServer(stage, port))
    const run = async (for_: number) => {
      const load: Load = { ports, seconds: for_, connections, requests }
      const child = promisify(execFile)(process.execPath, ['bench/ocsp.ts', '--load'])
      child.child.stdin?.end(JSON.stringify(load))
      return (await child).stdout
    }
    say(`limit: ${nativeSignatures()} native P-256 signatures/s on one thread`)
    await run(2)
    const told = await run(seconds)
    say(`${processes} server process(es), ${connections} connections: ${told}`)
    for (const server of servers) {
      say(`peak resident memory of a server process: ${await peakMegabytes(server)} MB`)
    }
  } finally {
    for (const server of servers) server.kill('SIGTERM')
    await stage.stop()
  }
}

if (process.argv[2] === '--load') await generate(JSON.parse(await text(process.stdin)))
else await measure()

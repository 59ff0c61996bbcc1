import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import { createServer } from 'node:tls'
import type { Config } from '../core/config.ts'
import type { Context } from '../core/context.ts'
import { minute } from '../shared/moment.ts'
import { listenAt } from './port.ts'

const rereadMilliseconds = 10 * minute
const handshakeMilliseconds = 10_000

/** Serves what `http` serves at a further port over TLS, asking for a client certificate, which may be any or none: who
 *  it is of is looked up for each request (src/api/signin/certificate.ts). Certificate and key are read again
 *  every ten minutes; those before are kept while they do not fit. Answers what ends it. */
export async function openTls(
  http: Server,
  { config, log }: Context,
  { port, ...files }: NonNullable<Config['tls']>,
): Promise<() => Promise<void>> {
  const server = createServer({
    ...(await read(files)),
    ...{ requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' },
    handshakeTimeout: handshakeMilliseconds,
    ALPNProtocols: ['http/1.1'],
  })
  server.on('secureConnection', (socket) => http.emit('connection', socket))
  // Who makes no handshake is nobody's business; a socket without a listener would end the process.
  server.on('tlsClientError', (_, socket) => socket.destroy())
  const again = setInterval(() => {
    read(files)
      .then((held) => server.setSecureContext({ ...held, minVersion: 'TLSv1.2' }))
      .catch((err: unknown) => log.error({ err }, 'the certificate of the API cannot be read'))
  }, rereadMilliseconds)
  again.unref()
  await listenAt(server, { host: config.host, port, setting: 'GATESMITH_TLS_PORT' })
  log.info({ address: server.address() }, 'the API is served over TLS, too')
  // What it has let in is the server's own, which ends it in its turn.
  return async () => {
    clearInterval(again)
    server.close()
  }
}

async function read({ cert, key }: { readonly cert: string; readonly key: string }) {
  return { cert: await readFile(cert), key: await readFile(key) }
}

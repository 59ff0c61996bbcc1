import { request as ask } from 'node:http'
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { type Duplex, duplexPair } from 'node:stream'

/** Takes HTTP/2 connections, and each of their requests as one of HTTP/1.1: `serve` gets the connection that
 *  it comes on, and the one that the client made. */
export function createHttp2(serve: (inner: Duplex, outer: object) => void): Http2Server {
  const server = createServer()
  server.on('stream', (stream, headers) => {
    stream.on('error', () => stream.destroy())
    const [near, far] = duplexPair()
    const session = stream.session
    if (!session) return void stream.destroy()
    serve(far, session)
    const { ':method': method, ':path': path, ':authority': authority, ...fields } = headers
    const plain = Object.entries(fields).filter(([name]) => !name.startsWith(':'))
    const sent = { host: authority, ...Object.fromEntries(plain), connection: 'close' }
    const asked = ask({
      createConnection: () => near,
      ...(method === undefined ? {} : { method }),
      ...(path === undefined ? {} : { path }),
      headers: sent,
    })
    asked.once('response', (answer) => {
      const { connection: _, 'transfer-encoding': __, 'keep-alive': ___, ...kept } = answer.headers
      if (stream.destroyed) return
      stream.respond({ ':status': answer.statusCode ?? 502, ...kept })
      answer.pipe(stream)
    })
    asked.once('error', () => failed(stream))
    stream.pipe(asked)
  })
  server.on('sessionError', () => {})
  return server
}

function failed(stream: ServerHttp2Stream): void {
  if (!stream.destroyed && !stream.headersSent)
    stream.respond({ ':status': 502 }, { endStream: true })
}

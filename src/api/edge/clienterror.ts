import { randomUUID } from 'node:crypto'
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { Problem, type ProblemType } from '../../shared/problem.ts'
import { problemDocument } from '../problem.ts'

/** What Node's HTTP parser says, by its codes. */
const known: Readonly<Record<string, readonly [ProblemType, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', 'The URL and the headers are longer than 16 KiB'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['request-too-large', 'The chunks have too long extensions'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-late', 'The request did not come in time; send it again'],
}

/** Answers what Node's HTTP parser refuses, before there is a request: a problem document as well. */
export function answerClientError(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const [type, detail] = known[error.code ?? ''] ?? [
    'request-malformed',
    'That is not a request of HTTP/1.1',
  ]
  answerRaw(socket, isLongUrl(error) ? urlTooLong() : new Problem(type, detail))
}

/** Has what Node would answer by itself answered by a problem too: a method that opens a tunnel, and
 *  an expectation other than 100-continue. */
export function answersOddities(server: Server): void {
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    answerRaw(socket, new Problem('method-unsupported', 'This is no proxy'), ['allow: GET, HEAD'])
  })
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    const problem = new Problem('expectation-refused', 'Only 100-continue can be expected')
    const id = randomUUID()
    const body = JSON.stringify(problemDocument(problem, id))
    response.writeHead(problem.status, {
      'content-type': 'application/problem+json',
      'content-length': Buffer.byteLength(body),
      'x-request-id': id,
      connection: 'close',
    })
    response.end(body)
  })
}

/** The first packet holds the beginning of a line that has no end within what is read. */
function isLongUrl(error: Error & { code?: string }): boolean {
  if (error.code !== 'HPE_HEADER_OVERFLOW' || !('rawPacket' in error)) return false
  if (!Buffer.isBuffer(error.rawPacket)) return false
  const text = error.rawPacket.subarray(0, 16_000).toString('latin1')
  return /^[A-Z-]+ \//.test(text) && !text.includes('\r\n')
}

function urlTooLong(): Problem {
  return new Problem('url-too-long', 'The URL is longer than 16 KiB')
}

function answerRaw(socket: Duplex, problem: Problem, headers: readonly string[] = []): void {
  const id = randomUUID()
  const body = JSON.stringify(problemDocument(problem, id))
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${id}`,
    'connection: close',
    ...headers,
  ]
  if (socket.writable) socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { Problem } from '../words/problem.ts'
import { problemDocument } from './problem.ts'

/** Answers what Node's HTTP parser refuses, before there is a request: a problem document as well. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const problem =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new Problem('request-too-large', 'The URL and the headers are longer than 16 KiB')
      : new Problem('request-malformed', 'That is not a request of HTTP/1.1')
  const body = JSON.stringify(problemDocument(problem, randomUUID()))
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.status === 413 ? 'Content Too Large' : 'Bad Request'}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  if (socket.writable) socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

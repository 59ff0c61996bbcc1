import { connect } from 'node:net'

/** What came back on a connection of its own. */
export type RawAnswer = { readonly status: number; readonly head: string; readonly body: string }

/** Sends these bytes as they are, without waiting to be asked for more, and answers with the first
 *  whole answer, or with what there was when the connection ended. */
export function rawAnswer(
  url: string,
  request: string,
  timeoutMilliseconds = 60_000,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(Number(port), hostname, () => socket.write(request))
    const end = () => {
      socket.destroy()
      const [head = '', body = ''] = text.split('\r\n\r\n')
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), head, body })
    }
    socket.setTimeout(timeoutMilliseconds, () => {
      socket.destroy()
      reject(new Error(`no answer to ${request.slice(0, 200)}`))
    })
    socket.on('data', (data) => {
      text += data
      if (isWhole(text, request.startsWith('HEAD '))) end()
    })
    socket.on('error', reject)
    socket.on('close', end)
  })
}

function isWhole(text: string, headAlone: boolean): boolean {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd < 0 || headAlone) return headEnd >= 0
  const length = Number(/content-length: (\d+)/i.exec(text.slice(0, headEnd))?.[1] ?? 0)
  return Buffer.byteLength(text.slice(headEnd + 4)) >= length
}

/** What is read of a ClientHello: the server name, '' when the client sent none. */
export type Hello = { readonly serverName: string }

/** The ClientHello at the start of a connection (RFC 8446 4.1.2, RFC 6066 3), from as many records as it
 *  takes; `more` when it is not all there yet, `none` when it is no ClientHello. */
export function readHello(bytes: Buffer): Hello | 'more' | 'none' {
  const message = handshake(bytes)
  if (typeof message === 'string') return message
  try {
    return { serverName: serverName(message) }
  } catch {
    return 'none'
  }
}

/** The body of the first handshake message, its record headers taken out. */
function handshake(bytes: Buffer): Buffer | 'more' | 'none' {
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    if (bytes.length > at && bytes[at] !== 22) return 'none'
    if (bytes.length < at + 5) return 'more'
    const end = at + 5 + bytes.readUInt16BE(at + 3)
    parts.push(bytes.subarray(at + 5, Math.min(end, bytes.length)))
    const message = Buffer.concat(parts)
    if (message.length > 0 && message[0] !== 1) return 'none'
    if (message.length >= 4 && message.length >= 4 + message.readUIntBE(1, 3)) {
      return message.subarray(4, 4 + message.readUIntBE(1, 3))
    }
    if (bytes.length < end) return 'more'
    at = end
  }
}

function serverName(hello: Buffer): string {
  let at = 34
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  if (at >= hello.length) return ''
  const end = at + 2 + hello.readUInt16BE(at)
  for (at += 2; at + 4 <= end; at += 4 + hello.readUInt16BE(at + 2)) {
    if (hello.readUInt16BE(at) !== 0) continue
    const length = hello.readUInt16BE(at + 7)
    return hello.toString('latin1', at + 9, at + 9 + length).toLowerCase()
  }
  return ''
}

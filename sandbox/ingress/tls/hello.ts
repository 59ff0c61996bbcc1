/** What is read of a ClientHello. */
export type Hello = {
  /** '' when the client sent none. */
  readonly serverName: string
  /** By ALPN (RFC 7301), in the client's order; none when it asked for none. */
  readonly protocols: readonly string[]
  /** It can do TLS 1.3, and whether it takes tickets for later connections then. */
  readonly tls13: boolean
  readonly tickets: boolean
}

/** The ClientHello at the start of a connection (RFC 8446 4.1.2, RFC 6066 3), from as many records as it
 *  takes; `more` when it is not all there yet, `none` when it is no ClientHello. */
export function readHello(bytes: Buffer): Hello | 'more' | 'none' {
  const message = handshake(bytes)
  if (typeof message === 'string') return message
  try {
    return helloOf(message)
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

function helloOf(hello: Buffer): Hello {
  const found = extensions(hello)
  const names = found.get(0)
  const versions = found.get(43)
  return {
    serverName: names ? nameIn(names) : '',
    protocols: protocolsIn(found.get(16)),
    tls13: versions?.includes(Buffer.from([3, 4])) ?? false,
    tickets: found.has(45),
  }
}

/** The contents of the extensions by their numbers. */
function extensions(hello: Buffer): ReadonlyMap<number, Buffer> {
  let at = 34
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  const found = new Map<number, Buffer>()
  if (at >= hello.length) return found
  const end = at + 2 + hello.readUInt16BE(at)
  for (at += 2; at + 4 <= end; at += 4 + hello.readUInt16BE(at + 2)) {
    found.set(hello.readUInt16BE(at), hello.subarray(at + 4, at + 4 + hello.readUInt16BE(at + 2)))
  }
  return found
}

function nameIn(names: Buffer): string {
  return names.toString('latin1', 5, 5 + names.readUInt16BE(3)).toLowerCase()
}

function protocolsIn(list: Buffer | undefined): readonly string[] {
  const found: string[] = []
  for (let at = 2; list && at < list.length; at += 1 + list.readUInt8(at)) {
    found.push(list.toString('latin1', at + 1, at + 1 + list.readUInt8(at)))
  }
  return found
}

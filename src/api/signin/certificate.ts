import { createHash } from 'node:crypto'
import type { BlockList } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { FastifyRequest } from 'fastify'
import { isIn, rangeList } from '../../clusters/addresses.ts'
import type { Config } from '../../core/config.ts'
import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'

/** The SHA-256 of the client certificate that came with a request: shown to us in the handshake of TLS, or to a proxy
 *  that is trusted, which tells it in a header of the settings. Of anybody else that header says nothing. Undefined:
 *  there is none. Nothing of it is believed: whether it was issued here is looked up. */
export function shownCertificate(
  { config }: Context,
  { headers, raw: { socket } }: FastifyRequest,
): Buffer | undefined {
  const { clientCertHeader: name } = config
  if (name !== undefined && isIn(trusted(config), socket.remoteAddress ?? '')) {
    const told = headers[name]
    return typeof told === 'string' && told !== '' ? fingerprintOf(octetsIn(told)) : undefined
  }
  if (!(socket instanceof TLSSocket)) return undefined
  const { raw } = socket.getPeerCertificate()
  return raw === undefined ? undefined : fingerprintOf(raw)
}

function fingerprintOf(der: Buffer): Buffer {
  return createHash('sha256').update(der).digest()
}

const trusted = oncePer<BlockList, Config>(({ trustedProxies }) => rangeList(trustedProxies))

/** `:base64:` (RFC 9440 2.2, RFC 8941 3.3.5), or PEM whose signs are URL-encoded, as nginx tells it. What is neither
 *  comes to octets of no certificate. */
function octetsIn(text: string): Buffer {
  const [, base64] = /^:([A-Za-z0-9+/=]+):$/.exec(text) ?? []
  if (base64 !== undefined) return Buffer.from(base64, 'base64')
  const plain = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  const [, inside = ''] =
    /^-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(plain) ?? []
  return Buffer.from(inside, 'base64')
}

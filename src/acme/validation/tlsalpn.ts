import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import type { Context } from '../../core/context.ts'
import {
  isSignedBy,
  type ParsedCertificate,
  readCertificate,
} from '../../x509/certificates/read.ts'
import { octetString } from '../../x509/der/encoding.ts'
import { X509Error } from '../../x509/der/errors.ts'
import { oids } from '../../x509/der/oids.ts'
import { ipBytes } from '../../x509/names/ip.ts'
import { AcmeProblem } from '../problem.ts'
import type { Sought } from './http.ts'
import { firstThatAnswers, patience, reachableAddresses } from './reach.ts'

const protocol = 'acme-tls/1'

/** Looks for tls-alpn-01 (RFC 8737 3). Throws connection, dns, tls, incorrectResponse. */
export async function lookForTlsAlpn(
  ctx: Context,
  { value, keyAuthorization }: Sought,
): Promise<void> {
  const signal = AbortSignal.timeout(patience)
  const addresses = await reachableAddresses(ctx, value)
  const port = ctx.config.acme.tlsPort
  const der = await firstThatAnswers(addresses, (host) =>
    shownCertificate({ host, port, servername: serverName(value), signal }),
  )
  const fault = faultOf(der, { value, keyAuthorization })
  if (fault !== undefined) throw new AcmeProblem('incorrectResponse', fault)
}

type Place = {
  readonly host: string
  readonly port: number
  readonly servername: string
  readonly signal: AbortSignal
}

/** The certificate that is shown by this protocol, in DER. */
function shownCertificate({ signal, ...place }: Place): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const asked = { ...place, ALPNProtocols: [protocol], rejectUnauthorized: false } as const
    const socket = connect({ ...asked, minVersion: 'TLSv1.2' }, () => {
      const certificate = socket.getPeerX509Certificate()
      if (socket.alpnProtocol !== protocol || !certificate) {
        reject(new AcmeProblem('tls', `${place.host} does not speak ${protocol}`))
      } else resolve(certificate.raw)
      socket.destroy()
    })
    const end = () => socket.destroy(new Error('no answer in time'))
    signal.addEventListener('abort', end, { once: true })
    socket.on('error', (error) => reject(asTls(error, place.host)))
    socket.on('close', () => {
      signal.removeEventListener('abort', end)
      reject(new AcmeProblem('tls', `${place.host} ended the handshake`))
    })
  })
}

function asTls(error: Error, host: string): Error {
  const code = 'code' in error ? String(error.code) : ''
  if (!/SSL|TLS|ALPN/.test(code)) return error
  return new AcmeProblem('tls', `The handshake with ${host} failed: ${code}`)
}

/** What is wrong with a certificate that is to prove a name; undefined when it does. */
function faultOf(
  der: Buffer,
  { value, keyAuthorization }: Pick<Sought, 'value' | 'keyAuthorization'>,
): string | undefined {
  const certificate = parsed(der)
  if (!certificate) return 'The certificate that is shown cannot be read'
  const { altNames, otherAltNameKinds, extensions } = certificate
  const { dnsNames, ipAddresses, emailAddresses, uris } = altNames
  const names = [...dnsNames.map((name) => name.toLowerCase()), ...ipAddresses]
  const others = [...emailAddresses, ...uris, ...otherAltNameKinds]
  if (names.length !== 1 || others.length > 0 || !isSame(names[0] ?? '', value)) {
    return `The certificate that is shown does not name ${value} alone`
  }
  const own = extensions.find(({ oid }) => oid === oids.acmeIdentifier)
  const digest = createHash('sha256').update(keyAuthorization).digest()
  if (!own?.critical || !own.value.equals(octetString(digest))) {
    return 'The certificate that is shown has not the acmeIdentifier that it should have, as critical'
  }
  return isSignedBy(certificate, certificate.spki) ? undefined : 'It is not signed by its own key'
}

function parsed(der: Buffer): ParsedCertificate | undefined {
  try {
    return readCertificate(der)
  } catch (error) {
    if (error instanceof X509Error) return undefined
    throw error
  }
}

function isSame(name: string, value: string): boolean {
  const octets = ipBytes(value)
  return octets ? ipBytes(name)?.equals(octets) === true : name === value
}

/** How a server is asked for: an address by its name in reverse DNS (RFC 8738 6). */
function serverName(value: string): string {
  const octets = ipBytes(value)
  if (!octets) return value
  if (isIP(value) === 4) return `${[...octets].toReversed().join('.')}.in-addr.arpa`
  return `${[...octets.toString('hex')].toReversed().join('.')}.ip6.arpa`
}

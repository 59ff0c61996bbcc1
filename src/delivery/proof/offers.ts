import { type ConnectionOptions, connect } from 'node:tls'
import Type from 'typebox'
import { closed } from '../../shared/schema.ts'
import {
  type Call,
  reason,
  shownTls,
  timeoutMilliseconds,
  tlsOptions,
  wayTo,
} from './connection.ts'

const Offered = Type.Union([Type.Boolean(), Type.Null()], {
  description: 'null: it could not be found out',
})
const Why = Type.Union([Type.String(), Type.Null()], { description: 'Why not' })

/** What an ingress agrees to for a host. */
export const Offers = closed(
  {
    versions: Type.Array(
      closed(
        {
          version: Type.Enum(['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']),
          offered: Offered,
          reason: Why,
        },
        { title: 'OfferedVersion' },
      ),
    ),
    groups: Type.Array(
      closed(
        {
          group: Type.Enum(['X25519', 'P-256', 'P-384', 'X25519MLKEM768']),
          offered: Offered,
          reason: Why,
        },
        { title: 'OfferedGroup' },
      ),
      { description: 'Key-exchange groups' },
    ),
    protocols: Type.Array(
      closed(
        { protocol: Type.Enum(['h2', 'http/1.1']), offered: Offered, reason: Why },
        { title: 'OfferedProtocol' },
      ),
      { description: 'By ALPN' },
    ),
  },
  { title: 'ProbeOffers' },
)
export type Offers = Type.Static<typeof Offers>

/** OpenSSL of Node leaves the old versions out unless it is told otherwise. */
const anyCipher = 'DEFAULT:@SECLEVEL=0'

const versions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
const groups = ['X25519', 'P-256', 'P-384', 'X25519MLKEM768'] as const
const protocols = ['h2', 'http/1.1'] as const

/** Asks for each version, group and protocol alone: ten connections, at most six at once. */
export async function offersOf(call: Call): Promise<Offers> {
  const found = await Promise.all([...versions.map(byVersion), ...protocols.map(byProtocol)])
  const newest = found.some(
    (each) => 'version' in each && each.version === 'TLSv1.3' && each.offered,
  )
  return {
    versions: found.filter((each) => 'version' in each),
    groups: await Promise.all(groups.map(newest ? byGroup : unasked)),
    protocols: found.filter((each) => 'protocol' in each),
  }

  async function byVersion(version: (typeof versions)[number]) {
    const only = { minVersion: version, maxVersion: version, ciphers: anyCipher }
    return { version, ...told(await offer(call, only)) }
  }

  async function byProtocol(protocol: (typeof protocols)[number]) {
    const found = await offer(call, { ALPNProtocols: [protocol] })
    // Who knows none of them may go on without one, which is no agreement (RFC 7301 3.2).
    const agreed = found.agreed === true ? found.protocol === protocol : found.agreed
    return { protocol, ...told({ ...found, agreed }) }
  }

  async function byGroup(group: (typeof groups)[number]) {
    return { group, ...told(await offer(call, { ecdhCurve: group, minVersion: 'TLSv1.3' })) }
  }
}

/** In TLS 1.2 a group that is offered alone also says which keys of certificates are known (RFC 8422 5.1). */
async function unasked(group: (typeof groups)[number]) {
  return { group, offered: null, reason: 'Groups are asked for in TLS 1.3, which is not offered' }
}

/** What a connection is to be made with, and nothing else. */
type Offer = Pick<
  ConnectionOptions,
  'minVersion' | 'maxVersion' | 'ciphers' | 'ecdhCurve' | 'ALPNProtocols'
>

/** Whether the other side agreed to an offer; null: it said nothing to it. */
type Agreement = {
  readonly agreed: boolean | null
  readonly protocol: string | null
  readonly error: string | null
}

function told({ agreed, error }: Agreement) {
  return { offered: agreed, reason: error }
}

/** One TLS handshake with one offer. The server has agreed once it shows its certificate; whether it lets
 *  us in is another question. */
function offer(call: Call, only: Offer): Promise<Agreement> {
  const way = wayTo(call.address)
  if ('fault' in way) {
    return Promise.resolve({ agreed: null, protocol: null, error: way.fault })
  }
  return new Promise((resolve) => {
    let seen = false
    const socket = connect({ ...way, ...tlsOptions(call), ...only })
    const timer = setTimeout(() => socket.destroy(new LateError()), timeoutMilliseconds)
    const end = (error: Error | null) => {
      clearTimeout(timer)
      const protocol = socket.alpnProtocol ? String(socket.alpnProtocol) : null
      // Who says nothing has refused nothing; what OpenSSL here cannot offer was never sent.
      const refused = error !== null && isRefusal(error)
      resolve({
        agreed: seen || (refused ? false : null),
        protocol,
        error: seen || error === null ? null : reason(error),
      })
      socket.destroy()
    }
    const look = () => {
      seen ||= shownTls(socket) !== null
    }
    socket.on('keylog', look)
    socket.once('secureConnect', () => {
      look()
      end(null)
    })
    socket.once('error', end)
    socket.once('close', () => end(null))
  })
}

class LateError extends Error {
  override readonly name = 'TimeoutError'
}

function isRefusal(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : ''
  return code === 'ECONNRESET' || code.includes('ALERT')
}

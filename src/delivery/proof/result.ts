import Type from 'typebox'
import { defaultIngress, type NamedIngress } from '../../clusters/cluster.ts'
import { TlsMode } from '../../hosts/host.ts'
import { closed, Name, nullable, Timestamp } from '../../shared/schema.ts'
import { timestamp } from '../../shared/view.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { X509Error } from '../../x509/der/errors.ts'
import { readOcspResponse } from '../../x509/ocsp.ts'
import { checks, ProbeCheck, type ProbeFindings } from './checks.ts'
import type { ShownTls } from './connection.ts'
import type { HandshakeAnswer } from './handshake.ts'
import { Offers } from './offers.ts'

const Milliseconds = nullable(Type.Number())
const Timings = closed(
  { connect: Milliseconds, tls: Milliseconds, firstByte: Milliseconds },
  {
    title: 'ProbeTimings',
    description:
      'Milliseconds of each step: TCP, TLS, and until the answer began; null: not reached',
  },
)

const ChainCertificate = closed(
  {
    subject: Type.String(),
    issuer: Type.String(),
    serial: Type.String(),
    notBefore: Timestamp,
    notAfter: Timestamp,
    fingerprintSha256: Type.String(),
  },
  { title: 'ProbeCertificate' },
)

const Staple = closed(
  {
    status: Type.Enum(['good', 'revoked', 'unknown', 'unreadable'], { title: 'StapleStatus' }),
    thisUpdate: nullable(Timestamp),
    nextUpdate: nullable(Timestamp),
  },
  { title: 'ProbeStaple', description: 'The stapled OCSP response; its signature is not verified' },
)

export const ProbeResult = closed(
  {
    cluster: Name,
    ingress: Name,
    address: Type.String(),
    mode: TlsMode,
    tls: nullable(
      closed(
        {
          version: Type.String({ description: 'TLSv1.2 or TLSv1.3' }),
          cipher: Type.String(),
          group: nullable(
            Type.String({ description: 'Key-exchange group; null: OpenSSL does not say' }),
          ),
          served: closed(
            {
              serial: Type.String(),
              fingerprintSha256: Type.String(),
              notAfter: Timestamp,
              chainLength: Type.Integer({ description: 'Certificates sent, without the root' }),
            },
            { title: 'ServedCertificate' },
          ),
          chain: Type.Array(ChainCertificate, {
            description: 'As sent, leaf first, without the root',
          }),
          staple: nullable(Staple),
          issuedIsServed: Type.Boolean({ description: 'Is it the certificate that was issued?' }),
          trusted: Type.Boolean({
            description: 'Does it lead to its authority, and hold the name?',
          }),
          distrust: nullable(Type.String({ description: 'Why it is not trusted' })),
        },
        { title: 'ProbeTls' },
      ),
    ),
    http: nullable(closed({ status: Type.Integer() }, { title: 'ProbeHttp' })),
    error: nullable(Type.String({ description: 'Where the connection ended, if it did' })),
    timings: Timings,
    plain: nullable(
      closed(
        {
          address: Type.String(),
          status: nullable(Type.Integer()),
          location: nullable(Type.String()),
          error: nullable(Type.String()),
          timings: Timings,
        },
        {
          title: 'ProbePlainHttp',
          description: 'Port 80; null: its address is not registered (plainAddress of the ingress)',
        },
      ),
    ),
    offers: nullable(Offers),
    checks: Type.Array(ProbeCheck),
    asExpected: Type.Boolean({ description: 'No check found something else than was expected' }),
  },
  { title: 'ProbeResult' },
)
export type ProbeResult = Type.Static<typeof ProbeResult>

/** What was found at an ingress of a cluster, as it is told. */
export function resultOf(
  { cluster, ingress }: { readonly cluster: string; readonly ingress: NamedIngress },
  found: ProbeFindings,
): ProbeResult {
  const { tls, status, error, timings } = found.answer
  const { name = defaultIngress, address, plainAddress } = ingress
  const all = checks(found)
  return {
    cluster,
    ingress: name,
    address,
    mode: found.spec.tls.mode,
    tls: tls && shownTls(tls, found.issued),
    http: status === null ? null : { status },
    error,
    timings: steps(timings),
    plain: found.plain && plainAddress !== undefined ? plainView(plainAddress, found.plain) : null,
    offers: found.offers ?? null,
    checks: [...all],
    asExpected: all.every(({ ok }) => ok !== false),
  }
}

function steps({ connected, secured, answered }: HandshakeAnswer['timings']) {
  const between = (from: number | null, to: number | null) =>
    from === null || to === null ? null : Math.round((to - from) * 10) / 10
  return {
    connect: connected,
    tls: between(connected, secured),
    firstByte: between(secured ?? connected, answered),
  }
}

function plainView(address: string, { status, location, error, timings }: HandshakeAnswer) {
  const where = location === null ? null : location.slice(0, 2000)
  return { address, status, location: where, error, timings: steps(timings) }
}

function shownTls(tls: ShownTls, issued: Uint8Array | null): ProbeResult['tls'] {
  const { version, cipher, group, leaf, chain, chainLength, distrust, staple } = tls
  return {
    version,
    cipher,
    group,
    served: {
      serial: leaf.serialNumber.toLowerCase(),
      fingerprintSha256: fingerprintSha256(leaf.raw),
      notAfter: timestamp(leaf.validToDate),
      chainLength,
    },
    chain: chain.map((each) => ({
      subject: oneLine(each.subject),
      issuer: oneLine(each.issuer),
      serial: each.serialNumber.toLowerCase(),
      notBefore: timestamp(each.validFromDate),
      notAfter: timestamp(each.validToDate),
      fingerprintSha256: fingerprintSha256(each.raw),
    })),
    staple: staple && stapleView(staple, leaf.serialNumber.toLowerCase()),
    issuedIsServed: issued ? leaf.raw.equals(issued) : false,
    trusted: distrust === null,
    distrust,
  }
}

function oneLine(name: string | undefined): string {
  return (name ?? '').replaceAll('\n', ', ').slice(0, 1000)
}

function stapleView(der: Buffer, serial: string): Type.Static<typeof Staple> {
  try {
    const found = readOcspResponse(der, serial)
    if (!found) return { status: 'unknown', thisUpdate: null, nextUpdate: null }
    const { status, thisUpdate, nextUpdate } = found
    return {
      status,
      thisUpdate: timestamp(thisUpdate),
      nextUpdate: nextUpdate && timestamp(nextUpdate),
    }
  } catch (error) {
    if (!(error instanceof X509Error)) throw error
    return { status: 'unreadable', thisUpdate: null, nextUpdate: null }
  }
}

import Type from 'typebox'
import type { CompleteSpec } from '../../hosts/host.ts'
import { closed } from '../../shared/schema.ts'
import type { HandshakeAnswer } from './handshake.ts'
import type { Offers } from './offers.ts'

/** One thing that was expected of an ingress, and what it did. */
export const ProbeCheck = closed(
  {
    check: Type.Enum(
      [
        'handshake',
        'issued-certificate',
        'trusted-chain',
        'no-client-certificate',
        'client-certificate',
        'shown-certificate',
        'tls-version',
        'plain-http',
      ],
      { title: 'ProbeCheckName' },
    ),
    expected: Type.String(),
    found: Type.String(),
    ok: Type.Union([Type.Boolean(), Type.Null()], {
      description: 'null: it could not be found out, or nothing is expected',
    }),
  },
  { title: 'ProbeCheck' },
)
export type ProbeCheck = Type.Static<typeof ProbeCheck>

/** What was asked of an ingress, and what came back. */
export type ProbeFindings = {
  readonly spec: Pick<CompleteSpec, 'tls' | 'http'>
  readonly name: string
  /** DER of the certificate in use, if one is issued. */
  readonly issued: Uint8Array | null
  /** As whoever asked. */
  readonly answer: HandshakeAnswer
  /** The certificate of the tenant that was shown then, and why it is to be refused; null: it is not;
   *  undefined: that is not known here. */
  readonly shown?: { readonly refusedFor?: string | null }
  /** MUTUAL: without a certificate, and with one that was made for this, or why there is none. */
  readonly stranger?: HandshakeAnswer
  readonly client?: HandshakeAnswer | { readonly unproved: string }
  /** Port 80, where its address is known. */
  readonly plain?: HandshakeAnswer
  readonly offers?: Offers
}

/** What was expected of each, and whether it is so. Refused may be what is wanted. */
export function checks(found: ProbeFindings): readonly ProbeCheck[] {
  const { answer } = found
  return [
    handshake(answer),
    ...(answer.tls ? certificate(answer.tls, found.issued) : []),
    ...(answer.tls ? clientChecks(found) : []),
    ...(found.offers ? versionChecks(found.spec, found.offers) : []),
    ...(found.plain ? [plainCheck(found.spec, found.name, found.plain)] : []),
  ]
}

function handshake({ tls, error }: HandshakeAnswer): ProbeCheck {
  return {
    check: 'handshake',
    expected: 'A TLS connection, with a certificate',
    found: tls ? `${tls.version}, ${tls.cipher}` : `None: ${error}`,
    ok: tls !== null,
  }
}

function certificate(
  { leaf, distrust }: NonNullable<HandshakeAnswer['tls']>,
  issued: Uint8Array | null,
): readonly ProbeCheck[] {
  const isIssued = issued !== null && leaf.raw.equals(issued)
  const unfinished = distrust === unfinishedHandshake
  return [
    {
      check: 'issued-certificate',
      expected: 'The certificate that was issued for the host',
      found: isIssued ? 'It' : `Another one, of serial ${leaf.serialNumber.toLowerCase()}`,
      ok: issued === null ? null : isIssued,
    },
    {
      check: 'trusted-chain',
      expected: 'A chain to the root of its authority, and the name of the host in the certificate',
      found: distrust ?? 'Both',
      ok: unfinished ? null : distrust === null,
    },
  ]
}

/** What is said where a client was refused before the chain was looked at. */
const unfinishedHandshake = 'The handshake was not finished'

function clientChecks({ shown, answer, stranger, client }: ProbeFindings): readonly ProbeCheck[] {
  return [
    ...(shown ? [admission('shown-certificate', answer, shown.refusedFor)] : []),
    ...(stranger ? [admission('no-client-certificate', stranger, 'it is none')] : []),
    ...(client && 'unproved' in client
      ? [
          {
            check: 'client-certificate' as const,
            expected: 'A client of the authority is let in',
            found: client.unproved,
            ok: null,
          },
        ]
      : []),
    ...(client && !('unproved' in client) ? [admission('client-certificate', client, null)] : []),
  ]
}

const clients = {
  'shown-certificate': 'The certificate that was named',
  'no-client-certificate': 'Who shows no certificate',
  'client-certificate': 'A client of the authority',
} as const

function admission(
  check: keyof typeof clients,
  { accepted, status, error, tls }: HandshakeAnswer,
  refusedFor: string | null | undefined,
): ProbeCheck {
  const who = clients[check]
  const refused = refusedFor !== null
  return {
    check,
    expected:
      refusedFor === undefined
        ? `${who} may be let in or not: it is of another authority`
        : refused
          ? `${who} is refused: ${refusedFor}`
          : `${who} is let in`,
    found: accepted
      ? `Let in${status === null ? '' : `, and answered ${status}`}`
      : `Refused: ${error}`,
    ok: refusedFor === undefined || (tls === null && !accepted) ? null : accepted !== refused,
  }
}

const order = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
const named = { TLSV1_2: 'TLSv1.2', TLSV1_3: 'TLSv1.3' } as const

function versionChecks(
  { tls: { mode, minVersion = 'TLSV1_2', maxVersion = 'TLSV1_3' } }: ProbeFindings['spec'],
  { versions }: Offers,
): readonly ProbeCheck[] {
  // With PASSTHROUGH the workload decides.
  if (mode === 'PASSTHROUGH') return []
  const [least, most] = [named[minVersion], named[maxVersion]].map((each) => order.indexOf(each))
  return versions.map(({ version, offered, reason }) => {
    const place = order.indexOf(version)
    const expected = place >= (least ?? 0) && place <= (most ?? 0)
    return {
      check: 'tls-version',
      expected: `${version} is ${expected ? 'offered' : 'refused'}`,
      found: offered === true ? 'Offered' : offered === false ? 'Refused' : `Unknown: ${reason}`,
      ok: offered === null ? null : offered === expected,
    }
  })
}

function plainCheck(
  { http }: ProbeFindings['spec'],
  name: string,
  { status, location, error }: HandshakeAnswer,
): ProbeCheck {
  const redirects = status !== null && status >= 300 && status < 400
  const toHttps = redirects && (location ?? '').startsWith(`https://${name}`)
  const wanted = {
    redirect: { expected: 'Port 80 leads to https', ok: toHttps },
    serve: { expected: 'Port 80 answers', ok: status !== null && !toHttps },
    // Where other hosts have port 80, Envoy answers 404 for a name that has not.
    off: { expected: 'Port 80 has nothing for the host', ok: status === null || status === 404 },
  }[http]
  const where = location === null ? '' : ` → ${location.slice(0, 200)}`
  return {
    check: 'plain-http',
    expected: wanted.expected,
    found: status === null ? `No answer: ${error}` : `${status}${where}`,
    ok: wanted.ok,
  }
}

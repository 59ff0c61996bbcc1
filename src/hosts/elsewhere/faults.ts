import { CaChallengeSettings } from '../../authorities/acme/schema.ts'
import type { Tx } from '../../core/database/db.ts'
import type { Violation } from '../../shared/problem.ts'
import { shownJson } from '../../shared/view.ts'
import { type CompleteSpec, type HostSpec, namesOf } from '../host.ts'

/** A host as it is asked for, and complete with defaults. */
type Asked = {
  readonly name: string
  readonly request: HostSpec
  readonly spec: CompleteSpec
  /** The clusters where hosts are written in the Gateway API. */
  readonly gatewayApi: readonly string[]
}

/** Whether a host has its certificates of a CA elsewhere; what of it such a CA does not certify, or cannot be shown; and
 *  that clients are none of its. */
export async function elsewhereFaults(
  tx: Tx,
  asked: Asked,
): Promise<{ readonly elsewhere: boolean; readonly faults: readonly Violation[] }> {
  const { request, spec } = asked
  const rows = await tx.authority.findMany({
    where: {
      name: { in: [spec.certificate.authority ?? '', spec.tls.clientAuthority ?? ''] },
      ...{ kind: 'acme', removedAt: null },
    },
    select: { name: true, caAccount: { select: { challenge: true } } },
  })
  const own = rows.find(({ name }) => name === spec.certificate.authority)
  const clients = rows.some(({ name }) => name === spec.tls.clientAuthority)
  const faults = [
    ...(own ? certificateFaults(own.name, request) : []),
    ...(own?.caAccount ? proofFaults(own.name, own.caAccount.challenge, asked) : []),
    ...(clients
      ? [
          {
            field: '/tls/clientAuthority',
            message: `"${spec.tls.clientAuthority}" is a CA elsewhere (acme), which certifies servers alone: name an authority of your own whose clients are let in`,
          },
        ]
      : []),
  ]
  return { elsewhere: own !== undefined, faults }
}

function certificateFaults(
  authority: string,
  { certificate = {} }: HostSpec,
): readonly Violation[] {
  const given = new Map<string, unknown>(Object.entries(certificate))
  return ['validityDays', 'organization']
    .filter((name) => given.has(name))
    .map((name) => ({
      field: `/certificate/${name}`,
      message: `"${authority}" is a CA elsewhere (acme), which decides about ${name} itself: leave it out`,
    }))
}

function proofFaults(
  authority: string,
  challenge: unknown,
  { name, spec, gatewayApi }: Asked,
): readonly Violation[] {
  if (shownJson(CaChallengeSettings, challenge).type !== 'http-01') return []
  const wildcards = namesOf(name, spec).flatMap((each, index) =>
    each.startsWith('*.')
      ? [
          {
            field: index === 0 ? '/name' : `/aliases/${index - 1}`,
            message: `"${authority}" has names proved by http-01, and a wildcard is proved by dns-01 alone (RFC 8555 8.3): name the hosts one by one, or an authority with dns-01`,
          },
        ]
      : [],
  )
  if (gatewayApi.length === 0) return wildcards
  const where = gatewayApi.slice(0, 3).map((each) => `"${each}"`)
  const message = `"${authority}" has names proved by http-01, which is answered by the gateway itself; hosts of cluster ${where.join(', ')} are written in the Gateway API, which cannot say it: name an authority with dns-01`
  return [...wildcards, { field: '/certificate/authority', message }]
}

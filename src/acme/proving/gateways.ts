import { request } from 'node:http'
import { partsOf, safeLookup } from '../../clusters/addresses.ts'
import { ingressOf } from '../../clusters/find.ts'
import { failureOf } from '../../clusters/outgoing.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { dueMany, placementKeys } from '../../core/database/due.ts'

/** Has the gateways of a host answer its challenges as they are recorded now: all of them, on each of its clusters. */
export async function pushChallenges(tx: Tx, hostId: string): Promise<void> {
  const placements = await tx.placement.findMany({
    where: { hostId, wanted: true },
    select: { id: true, clusterId: true },
  })
  await dueMany(tx, 'placement.push', placementKeys(placements))
}

/** What a gateway is to answer. */
export type Expected = {
  readonly hostId: string
  readonly name: string
  readonly token: string
  readonly keyAuthorization: string
  readonly presentedAt: Date
}

/** How long a gateway that cannot be asked, since its plain HTTP is not reached from here, is given. */
const blindMilliseconds = 15_000

/** Which gateways of a host do not answer a challenge yet, by cluster and with what they answer instead: each that can be
 *  asked is. One of a cluster that is away is waited for as little as it is by clients, if another answers. */
export async function unanswering(ctx: Context, expected: Expected): Promise<readonly string[]> {
  const placements = await ctx.db.read.placement.findMany({
    where: { hostId: expected.hostId, wanted: true },
    include: { cluster: true },
    orderBy: { id: 'asc' },
  })
  const found = await Promise.all(
    placements.map(async ({ cluster, ingress }) => {
      const { plainAddress } = ingressOf(cluster, ingress)
      const age = ctx.now().getTime() - expected.presentedAt.getTime()
      const fault =
        plainAddress === undefined ? blindFault(age) : await answerFault(plainAddress, expected)
      return { cluster: cluster.name, fault, away: cluster.silentSince !== null }
    }),
  )
  const some = found.some(({ fault }) => fault === undefined)
  if (found.length === 0) return ['none of its clusters: it has none']
  return found.flatMap(({ cluster, fault, away }) =>
    fault === undefined || (away && some) ? [] : [`${cluster} (${fault})`],
  )
}

function blindFault(age: number): string | undefined {
  return age > blindMilliseconds ? undefined : 'it has no plainAddress, and is given a moment'
}

const timeoutMilliseconds = 3_000

/** Why plain HTTP does not answer the challenge as the CA will look for it (RFC 8555 8.3); undefined: it does. */
function answerFault(
  address: string,
  { name, token, keyAuthorization }: Expected,
): Promise<string | undefined> {
  const { host, port } = partsOf(address)
  return new Promise((resolve) => {
    const asked = request(
      {
        ...{ host, port, lookup: safeLookup, agent: false as const, method: 'GET' },
        path: `/.well-known/acme-challenge/${token}`,
        headers: { host: name, 'user-agent': 'gatesmith-probe' },
        signal: AbortSignal.timeout(timeoutMilliseconds),
      },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => {
          if (parts.push(part) > 8) response.destroy()
        })
        response.on('error', () => resolve('its answer breaks off'))
        response.on('close', () => resolve('it answers something else'))
        response.on('end', () => {
          const body = Buffer.concat(parts).toString('latin1').trimEnd()
          const { statusCode } = response
          if (statusCode !== 200) resolve(`it answers ${statusCode}`)
          else resolve(body === keyAuthorization ? undefined : 'it answers something else')
        })
      },
    )
    asked.on('error', (error) =>
      resolve(
        error.name === 'TimeoutError' || error.name === 'AbortError'
          ? 'it does not answer'
          : failureOf(error),
      ),
    )
    asked.end()
  })
}

import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'

/** What a gateway answers to a CA that looks for an http-01 challenge (RFC 8555 8.3). */
export type ServedChallenge = { readonly token: string; readonly keyAuthorization: string }

/** The challenges that the gateways of a host are to answer just now, in their order; most hosts have none. */
export async function servedChallenges(
  ctx: Context,
  hostId: string,
): Promise<readonly ServedChallenge[]> {
  return (await challengesOf(ctx)(hostId))?.challenges ?? []
}

/** Hosts that are pushed at one moment share a statement. */
const challengesOf = oncePer((ctx) =>
  batchedReads(
    async (ids) => {
      const rows = await ctx.db.read.caChallenge.findMany({
        where: {
          ...{ hostId: { in: ids }, type: 'http-01', cleanedAt: null },
          presentedAt: { not: null },
        },
        select: { hostId: true, token: true, keyAuthorization: true },
        orderBy: { id: 'asc' },
      })
      return [...Map.groupBy(rows, ({ hostId }) => hostId)].map(([hostId, challenges]) => ({
        hostId,
        challenges: challenges.map(({ token, keyAuthorization }) => ({ token, keyAuthorization })),
      }))
    },
    ({ hostId }) => hostId,
  ),
)

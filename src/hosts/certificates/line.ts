import { sql, type Tx } from '../../core/database/db.ts'

/** A certificate as whoever has it delivered looks at it. */
export type LineMember = {
  readonly id: string
  readonly tenantId: string
  readonly hostId: string | null
  readonly issuerId: string | null
  readonly anchorPem: string | null
  readonly chainPem: string | null
  /** Null: it was uploaded. */
  readonly authority: string | null
  /** '': an authority here made it. */
  readonly uploaded: string
  readonly serial: string
  readonly spkiSha256: string
  readonly der: Uint8Array<ArrayBuffer> | null
  readonly status: string
  readonly profile: string
  readonly keyAlgorithm: string
  readonly keySource: string
  readonly dnsNames: readonly string[]
  readonly cause: string
  readonly autoRenew: boolean
  readonly notAfter: Date
  /** Since when its key may not be used any more; null: it may. */
  readonly keyBlockedSince: Date | null
}

/** The certificate that stands in the place of this one now: the newest of those that took it, one after
 *  the other, and were not revoked, rather one whose key is held here; itself where there is none.
 *  Undefined: there is no such certificate. */
export async function newestInLine(tx: Tx, id: string): Promise<LineMember | undefined> {
  return (await newestInLines(tx, [id])).get(id)
}

/** The same of many certificates in one statement, by the id that was asked for. */
export async function newestInLines(
  tx: Tx,
  ids: readonly string[],
): Promise<ReadonlyMap<string, LineMember>> {
  const rows = await tx.$queryRaw<readonly (LineMember & { readonly first: string })[]>(sql`
    with recursive line as (
      select "id" as "first", "id" from certificate where "id" = any(${[...new Set(ids)]}::uuid[])
      union
      select line."first", next."id"
      from line join certificate next on next."replacesId" = line."id"
    )
    select distinct on (line."first") line."first"::text, certificate."id"::text,
      certificate."tenantId"::text, "hostId"::text, "issuerId"::text, "chainPem", "anchorPem",
      authority."name" as authority, "uploaded", "serial",
      certificate."spkiSha256", "der", "status", "profile",
      "keyAlgorithm", "keySource", "dnsNames", "cause", "autoRenew", "notAfter",
      blocked_key."since" as "keyBlockedSince"
    from line join certificate using ("id") left join authority on authority."id" = "authorityId"
      left join blocked_key on blocked_key."spkiSha256" = certificate."spkiSha256"
    order by line."first", "status" = 'active' desc, "keySource" <> 'caller' desc,
      certificate."createdAt" desc, certificate."id" desc`)
  return new Map(rows.map(({ first, ...member }) => [first, member]))
}

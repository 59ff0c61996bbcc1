import { sql, type Tx } from '../../core/database/db.ts'

/** A host that has an uploaded certificate. */
export type UserOfUpload = {
  readonly id: string
  readonly name: string
  readonly spec: unknown
  /** It names this one, or has it in use; else it names one whose place this one took. */
  readonly itself: boolean
}

/** The hosts of a tenant that name a certificate or one whose place it took, or have it in use, by name; those on
 *  their way out are among them while they last. */
export function usersOf(
  tx: Tx,
  { tenantId, id }: { readonly tenantId: string; readonly id: string },
): Promise<readonly UserOfUpload[]> {
  return tx.$queryRaw<UserOfUpload[]>(sql`
    with recursive line as (
      select "id", "replacesId" from certificate
      where "id" = ${id}::uuid and "tenantId" = ${tenantId}::uuid
      union
      select before."id", before."replacesId"
      from line join certificate before on before."id" = line."replacesId"
    )
    select host."id"::text, host."name", host."spec",
      host."spec" #>> '{certificate,uploaded}' = ${id} or host."certificateId" = ${id}::uuid as itself
    from host where host."tenantId" = ${tenantId}::uuid
      and (host."certificateId" = ${id}::uuid
        or host."spec" #>> '{certificate,uploaded}' in (select "id"::text from line))
    order by host."name"`)
}

/** Some names for a sentence. */
export function namesOfUsers(users: readonly { readonly name: string }[]): string {
  const shown = users.slice(0, 10).map(({ name }) => name)
  const more = users.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

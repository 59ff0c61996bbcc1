import Type from 'typebox'
import Value from 'typebox/value'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { batched } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'

/** What a kind of column takes here, and how SQL stores it: octets come in base64 or hexadecimal. */
type Kinds = {
  uuid: string
  text: string
  'text[]': readonly string[]
  int: number
  boolean: boolean
  timestamptz: Date
  jsonb: object
  base64: string
  hex: string
}

/** The columns of a certificate that is about to be signed, each with its kind. */
const columns = {
  id: 'uuid',
  tenantId: 'uuid',
  authorityId: 'uuid',
  issuerId: 'uuid',
  hostId: 'uuid?',
  profile: 'text',
  serial: 'text',
  subject: 'jsonb',
  commonName: 'text?',
  dnsNames: 'text[]',
  ipAddresses: 'text[]',
  emailAddresses: 'text[]',
  uris: 'text[]',
  leftOut: 'text[]',
  keyAlgorithm: 'text',
  spkiSha256: 'text',
  keySource: 'text',
  notBefore: 'timestamptz',
  notAfter: 'timestamptz',
  tbs: 'base64',
  actor: 'jsonb',
  replacesId: 'uuid?',
  cause: 'text',
  reason: 'text?',
  renewAt: 'timestamptz',
  autoRenew: 'boolean',
  labels: 'jsonb',
  requestKey: 'hex?',
  requestHash: 'hex?',
  createdAt: 'timestamptz',
  crlShard: 'int',
} as const

type ColumnValue<Kind> = Kind extends `${infer Given}?`
  ? ColumnValue<Given> | null
  : Kind extends keyof Kinds
    ? Kinds[Kind]
    : never

/** A certificate about to be signed, as stored before the CA key is used. `actor` is who asked for it;
 *  `sealed` is its sealed private key in base64, if that was made here. */
export type Reservation = {
  readonly [Name in keyof typeof columns]: ColumnValue<(typeof columns)[Name]>
} & { readonly actor: Actor; readonly sealed: string | null }

/** A signed certificate, with the audit event that tells of it. */
export type Completion = {
  readonly id: string
  readonly der: string
  readonly fingerprintSha256: string
  readonly at: Date
  readonly actor: Actor
  readonly tenantId: string
  readonly name: string
  readonly changes: object
}

/** What became of a reservation: `known` when this request's Idempotency-Key has its certificate already,
 *  `taken` when the public key is not this tenant's to have certified, `gone` when the authority was
 *  removed meanwhile. */
export type ReserveOutcome = 'stored' | 'known' | 'taken' | 'gone'

/** Both steps of issuing as group commits: `reserve` answers what became of the row, `complete` whether
 *  it was this signature that was stored (false: another one was first). */
export type IssueStore = {
  readonly reserve: (row: Reservation) => Promise<ReserveOutcome>
  readonly complete: (row: Completion) => Promise<boolean>
}

/** The store of a context, one for all its requests, so that they share commits. */
export const issueStore: (ctx: Context) => IssueStore = oncePer((ctx) => ({
  reserve: batched((rows: readonly Reservation[]) => reserve(ctx, rows), { size: 200, lanes: 2 }),
  complete: batched((rows: readonly Completion[]) => complete(ctx, rows), { size: 200, lanes: 2 }),
}))

async function reserve(
  ctx: Context,
  rows: readonly Reservation[],
): Promise<readonly ReserveOutcome[]> {
  const left = await unstored(ctx, rows, reserving)
  return rows.map(({ id }) => {
    const why = left.get(id)
    if (why === undefined) return 'stored'
    if (!why.there) return 'gone'
    return why.own ? 'known' : 'taken'
  })
}

const stored = Object.entries(columns).map(([name, given]) => {
  const kind = given.replace('?', '')
  const octets = kind === 'base64' || kind === 'hex'
  return {
    name: `"${name}"`,
    definition: `"${name}" ${octets ? 'text' : kind}`,
    value: octets ? `decode("${name}", '${kind}')` : `"${name}"`,
  }
})
const names = stored.map(({ name }) => name).join(', ')
const values = stored.map(({ value }) => value).join(', ')
const definitions = stored.map(({ definition }) => definition).join(', ')

/** Who removes an authority waits for what it is about to sign, and after that it signs nothing: its row
 *  is held as a foreign key would hold it. A key that came in a request becomes the tenant's in the very
 *  statement that stores its first certificate, so that of two tenants at once only one gets it
 *  (src/authorities/keys/holders.ts). In the order of keys, or two groups with the same keys would wait
 *  for one another. A key that was made here is nobody else's: it costs nothing. */
const reserving = `
    with item as (
      select * from jsonb_to_recordset($1::jsonb) as item (${definitions}, "sealed" text)
    ), there as (
      select "id" as "authorityId" from authority
      where "id" in (select "authorityId" from item) and "removedAt" is null
      order by "id" for key share
    ), claimed as (
      insert into certified_key ("spkiSha256", "tenantId")
      select distinct on ("spkiSha256") "spkiSha256", "tenantId" from item
      where "keySource" = 'caller' and "authorityId" in (select "authorityId" from there)
        and not exists (select from certified_key held
          where held."spkiSha256" = item."spkiSha256")
        and not exists (select from certificate other
          where other."spkiSha256" = item."spkiSha256" and other."tenantId" <> item."tenantId")
      order by "spkiSha256", "id"
      on conflict ("spkiSha256") do update set "spkiSha256" = excluded."spkiSha256"
      returning "spkiSha256", "tenantId"
    ), held as (
      select "spkiSha256", "tenantId" from claimed
      union all
      select "spkiSha256", "tenantId" from certified_key
      where "spkiSha256" in (select "spkiSha256" from item where "keySource" = 'caller')
    ), own as (
      select "id" from item where "keySource" = 'server'
      union all
      select "id" from item join held using ("spkiSha256", "tenantId")
      where "keySource" = 'caller'
    ), stored as (
      insert into certificate ("status", ${names})
      select 'signing', ${values}
      from item join own using ("id") join there using ("authorityId")
      on conflict ("requestKey") do nothing
      returning "id"
    ), begun as (
      insert into certificate_signing ("certificateId") select "id" from stored
    ), kept as (
      insert into certificate_secret ("certificateId", "sealed")
      select "id", decode("sealed", 'base64') from item join stored using ("id")
      where "sealed" is not null
    )
    select "id", own."id" is not null as "own", there."authorityId" is not null as "there"
    from item left join own using ("id") left join there using ("authorityId")
    where "id" not in (select "id" from stored)`

/** Of two signatures over one reservation that come together, the first is stored. */
async function complete(ctx: Context, rows: readonly Completion[]): Promise<readonly boolean[]> {
  const first = new Map(rows.toReversed().map((row) => [row.id, row]))
  const items = [...first.values()].map(({ actor, ...row }) => ({
    ...row,
    actorKind: actor.kind,
    actorId: actor.id,
    actorName: actor.name,
    requestId: actor.requestId,
  }))
  const left = await unstored(ctx, items, completing)
  return rows.map((row) => first.get(row.id) === row && !left.has(row.id))
}

const completing = `
    with item as (
      select * from jsonb_to_recordset($1::jsonb) as item (
        "id" uuid, "der" text, "fingerprintSha256" text, "at" timestamptz, "actorKind" text,
        "actorId" text, "actorName" text, "requestId" text, "tenantId" uuid, "name" text,
        "changes" jsonb)
    ), stored as (
      update certificate set "status" = 'active', "der" = decode(item."der", 'base64'),
        "fingerprintSha256" = item."fingerprintSha256", "tbs" = null,
        "actor" = null
      from item where certificate."id" = item."id" and "status" = 'signing'
      returning certificate."id"
    ), finished as (
      delete from certificate_signing where "certificateId" in (select "id" from stored)
    ), printed as (
      insert into certificate_fingerprint ("sha256", "certificateId")
      select decode("fingerprintSha256", 'hex'), "id" from item join stored using ("id")
      on conflict do nothing
    ), recorded as (
      insert into audit_event ("at", "actorKind", "actorId", "actorName", "requestId", "tenantId",
        "action", "subjectKind", "subjectId", "subjectName", "changes")
      select "at", "actorKind", "actorId", "actorName", "requestId", "tenantId",
        'certificate.issued', 'certificate', "id"::text, "name", "changes"
      from item join stored using ("id")
    )
    select "id", true as "own", true as "there" from item where "id" not in (select "id" from stored)`

/** Those that were not stored, and why: whether their key is the tenant's own, and their authority there. */
async function unstored(
  ctx: Context,
  rows: readonly { readonly id: string }[],
  statement: string,
): Promise<ReadonlyMap<string, Left>> {
  const left = await ctx.db.statement(statement, [JSON.stringify(rows)])
  return new Map(left.map((row) => Value.Parse(Left, row)).map((each) => [each.id, each]))
}

const Left = Type.Object({ id: Type.String(), own: Type.Boolean(), there: Type.Boolean() })
type Left = Type.Static<typeof Left>

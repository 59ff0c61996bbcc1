import Type from 'typebox'
import Value from 'typebox/value'
import type { Actor } from '../ground/actor.ts'
import { batched } from '../ground/batch.ts'
import type { Context } from '../ground/context.ts'
import { perContext } from '../ground/percontext.ts'

/** A certificate about to be signed, as stored before the CA key is used. Octets in base64. */
export type Reservation = {
  readonly id: string
  readonly tenantId: string
  readonly authorityId: string
  readonly issuerId: string
  readonly hostId: string | null
  readonly profile: string
  readonly serial: string
  readonly subject: object
  readonly commonName: string | null
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
  readonly keyAlgorithm: string
  readonly spkiSha256: string
  readonly keySource: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly tbs: string
  readonly replacesId: string | null
  readonly cause: string
  readonly reason: string | null
  readonly renewAt: Date
  readonly autoRenew: boolean
  readonly requestKey: string | null
  readonly requestHash: string | null
  readonly createdAt: Date
  readonly crlShard: number
  readonly sealed: string | null
}

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

/** Both steps of issuing as group commits: `reserve` answers whether the row is new (false: this
 *  request's Idempotency-Key has its certificate already), `complete` whether it was this signature
 *  that was stored (false: another one was first). */
export type IssueStore = {
  readonly reserve: (row: Reservation) => Promise<boolean>
  readonly complete: (row: Completion) => Promise<boolean>
}

/** The store of a context, one for all its requests, so that they share commits. */
export const issueStore: (ctx: Context) => IssueStore = perContext((ctx) => ({
  reserve: batched((rows: readonly Reservation[]) => reserve(ctx, rows), { size: 200, lanes: 2 }),
  complete: batched((rows: readonly Completion[]) => complete(ctx, rows), { size: 200, lanes: 2 }),
}))

function reserve(ctx: Context, rows: readonly Reservation[]): Promise<readonly boolean[]> {
  return stored(ctx, rows, reserving)
}

const reserving = `
    with item as (
      select * from jsonb_to_recordset($1::jsonb) as item (
        "id" uuid, "tenantId" uuid, "authorityId" uuid, "issuerId" uuid, "hostId" uuid,
        "profile" text, "serial" text, "subject" jsonb, "commonName" text, "dnsNames" text[],
        "ipAddresses" text[], "emailAddresses" text[], "uris" text[], "keyAlgorithm" text,
        "spkiSha256" text, "keySource" text, "notBefore" timestamptz, "notAfter" timestamptz,
        "tbs" text, "replacesId" uuid, "cause" text, "requestKey" text, "requestHash" text,
        "createdAt" timestamptz, "crlShard" int, "reason" text, "renewAt" timestamptz,
        "autoRenew" boolean, "sealed" text)
    ), stored as (
      insert into certificate (
        "id", "tenantId", "authorityId", "issuerId", "hostId", "profile", "status", "serial",
        "subject", "commonName", "dnsNames", "ipAddresses", "emailAddresses", "uris",
        "keyAlgorithm", "spkiSha256", "keySource", "notBefore", "notAfter", "tbs", "replacesId",
        "cause", "requestKey", "requestHash", "createdAt", "crlShard", "reason", "renewAt",
        "autoRenew")
      select
        "id", "tenantId", "authorityId", "issuerId", "hostId", "profile", 'signing', "serial",
        "subject", "commonName", "dnsNames", "ipAddresses", "emailAddresses", "uris",
        "keyAlgorithm", "spkiSha256", "keySource", "notBefore", "notAfter",
        decode("tbs", 'base64'), "replacesId", "cause", decode("requestKey", 'hex'),
        decode("requestHash", 'hex'), "createdAt", "crlShard", "reason", "renewAt", "autoRenew"
      from item
      on conflict ("requestKey") do nothing
      returning "id"
    ), kept as (
      insert into certificate_secret ("certificateId", "sealed")
      select "id", decode("sealed", 'base64') from item join stored using ("id")
      where "sealed" is not null
    )
    select "id" from item except select "id" from stored`

function complete(ctx: Context, rows: readonly Completion[]): Promise<readonly boolean[]> {
  const items = rows.map(({ actor, ...row }) => ({
    ...row,
    actorKind: actor.kind,
    actorId: actor.id,
    actorName: actor.name,
    requestId: actor.requestId,
  }))
  return stored(ctx, items, completing)
}

const completing = `
    with item as (
      select * from jsonb_to_recordset($1::jsonb) as item (
        "id" uuid, "der" text, "fingerprintSha256" text, "at" timestamptz, "actorKind" text,
        "actorId" text, "actorName" text, "requestId" text, "tenantId" uuid, "name" text,
        "changes" jsonb)
    ), stored as (
      update certificate set "status" = 'active', "der" = decode(item."der", 'base64'),
        "fingerprintSha256" = item."fingerprintSha256", "tbs" = null
      from item where certificate."id" = item."id" and "status" = 'signing'
      returning certificate."id"
    ), told as (
      insert into audit_event ("at", "actorKind", "actorId", "actorName", "requestId", "tenantId",
        "action", "subjectKind", "subjectId", "subjectName", "changes")
      select "at", "actorKind", "actorId", "actorName", "requestId", "tenantId",
        'certificate.issued', 'certificate', "id"::text, "name", "changes"
      from item join stored using ("id")
    )
    select "id" from item except select "id" from stored`

/** Whether each was stored: the statement answers with those that were not. */
async function stored(
  ctx: Context,
  rows: readonly { readonly id: string }[],
  statement: string,
): Promise<readonly boolean[]> {
  const left = await ctx.db.statement(statement, [JSON.stringify(rows)])
  const ids = new Set(left.map((row) => Value.Parse(Left, row).id))
  return rows.map(({ id }) => !ids.has(id))
}

const Left = Type.Object({ id: Type.String() })

import Type from 'typebox'
import { type Actor, allow } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { byName, listRows, when } from '../core/database/lists.ts'
import { rowsOf } from '../core/database/rows.ts'
import { type Cursored, type List, listQuery, NameSort } from '../shared/lists/query.ts'
import { must } from '../shared/must.ts'
import { oneOf } from '../shared/oneof.ts'
import { Name } from '../shared/schema.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../shared/view.ts'
import { readCertificate, signsLists } from '../x509/certificates/read.ts'
import { toPem } from '../x509/der/pem.ts'
import { CaAccountView, CaChallengeSettings } from './acme/schema.ts'
import { Authority, type FullList, type RevocationLists } from './authority.ts'
import { listSentence } from './crl/alarm.ts'
import { listRoom, pemOctets } from './crl/room.ts'
import { constraintsView } from './issuers/constraints.ts'
import {
  type IssuingAuthority,
  issuingAuthorities,
  issuingAuthority,
  type PathCertificate,
  pathsOf,
} from './issuers/current.ts'
import { mayKnow } from './issuers/view.ts'
import { nothingPublished } from './published.ts'

/** One authority. Throws authority-unknown, also for another tenant's. */
export async function getAuthority(ctx: Context, actor: Actor, name: string): Promise<Authority> {
  allow(actor, 'read')
  const authority = await issuingAuthority(ctx, { name, tenantId: actor.tenantId })
  const [view] = await viewsOf(ctx, actor, [authority])
  return must(view, 'an authority is shown')
}

/** The authorities of these names that the actor may use, in no order. */
export async function authoritiesByNames(
  ctx: Context,
  actor: Actor,
  names: readonly string[],
): Promise<readonly Authority[]> {
  allow(actor, 'read')
  const found = await issuingAuthorities(ctx.db.read, names)
  const visible = found.filter((each) => mayKnow(actor, each))
  return viewsOf(ctx, actor, visible)
}

async function viewsOf(
  ctx: Context,
  actor: Actor,
  authorities: readonly IssuingAuthority[],
): Promise<readonly Authority[]> {
  const issuers = authorities.flatMap(({ issuers }) => issuers.map(({ id }) => id))
  const paths = await pathsOf(ctx.db.read, issuers)
  const ids = authorities.map(({ id }) => id)
  const full = await fullLists(ctx.db.read, actor, ids)
  const lists = await publishedLists(ctx, ids)
  const elsewhere = authorities.filter(({ kind }) => kind === 'acme').map(({ id }) => id)
  const accounts = elsewhere.length > 0 ? await caAccounts(ctx, elsewhere) : new Map()
  return authorities.map((authority) => ({
    ...authorityView(actor, authority, {
      path: paths.get(authority.issuers[0]?.id ?? '') ?? [],
      full: full.get(authority.id) ?? [],
      lists: lists.get(authority.id) ?? null,
    }),
    acme: accounts.get(authority.id) ?? null,
  }))
}

/** How the accounts of these authorities stand, by their ids: those of the kind acme have one. */
async function caAccounts(
  ctx: Context,
  authorityIds: readonly string[],
): Promise<ReadonlyMap<string, CaAccountView>> {
  const rows = await ctx.db.read.caAccount.findMany({
    where: { authorityId: { in: [...authorityIds] } },
  })
  return new Map(rows.map((row) => [row.authorityId, accountView(row)]))
}

type AccountRow = Awaited<ReturnType<Context['db']['read']['caAccount']['findMany']>>[number]

function accountView(row: AccountRow): CaAccountView {
  return shown(CaAccountView, {
    directory: row.directory,
    contact: row.contact,
    externalAccountBinding: row.bindingKeyId === null ? null : { keyId: row.bindingKeyId },
    trustedRoots: row.trustedRoots,
    profile: row.profile,
    challenge: shownJson(CaChallengeSettings, row.challenge),
    state: row.state,
    url: row.url,
    thumbprint: row.thumbprint,
    pending: row.changes,
    message: row.message,
    problem: row.problem,
    nextAttempt: timestampOrNull(row.retryAt),
    pausedUntil: timestampOrNull(row.pausedUntil),
    registeredAt: timestampOrNull(row.registeredAt),
    keyChangedAt: timestampOrNull(row.keyChangedAt),
  })
}

/** Which authorities are listed; all that is named must hold. */
export const AuthorityQuery = listQuery(NameSort, {
  kind: Type.Optional(Type.Enum(Authority.properties.kind.enum, { title: 'AuthorityKind' })),
  tenant: Type.Optional(Name),
  parent: Type.Optional(Name),
  retired: Type.Optional(Type.Boolean({ description: 'Whether they sign nothing new' })),
})
export type AuthorityQuery = Cursored<Type.Static<typeof AuthorityQuery>>

const listing = byName(rowsOf('Authority', {}))

/** The authorities that the actor may use, by name unless asked otherwise. Throws cursor-refused. */
export async function listAuthorities(
  ctx: Context,
  actor: Actor,
  query: AuthorityQuery,
): Promise<List<Authority>> {
  allow(actor, 'read')
  const { kind, tenant, parent, retired } = query
  const own = actor.tenantId
  const conditions = [
    sql`authority."removedAt" is null`,
    ...when(
      own ?? undefined,
      (one) => sql`coalesce(authority."tenantId", ${one}::uuid) = ${one}::uuid`,
    ),
    ...when(kind, (one) => sql`authority."kind" = ${one}`),
    ...when(
      tenant,
      (one) => sql`authority."tenantId" = (select "id" from tenant where "name" = ${one})`,
    ),
    ...when(
      parent,
      (one) => sql`authority."parentId" in (select "id" from authority where "name" = ${one})`,
    ),
    ...when(retired, (one) => sql`(authority."retiredAt" is not null) = ${one}`),
  ]
  const page = await listRows(ctx.db, listing, { conditions, query })
  const names = page.items.map(({ name }) => name)
  const found = await authoritiesByNames(ctx, actor, names)
  const known = new Map(found.map((authority) => [authority.name, authority]))
  const { cursors } = page
  return {
    ...page,
    items: names.flatMap((name) => known.get(name) ?? []),
    ...(cursors ? { cursors: cursors.filter((_, at) => known.has(names[at] ?? '')) } : {}),
  }
}

/** The certificate of an authority in DER: the one that signs now, or that of the key so labelled, for
 *  relying parties that follow caIssuers (RFC 5280 4.2.2.1). Public. Throws authority-unknown. */
export async function getCaCertificate(
  ctx: Context,
  { authority: name, key }: { authority: string; key?: string },
): Promise<Buffer> {
  const issuer = await ctx.db.read.issuer.findFirst({
    where: {
      authority: { name, removedAt: null },
      ...(key === undefined ? { issues: true } : { key: { spkiSha256: { startsWith: key } } }),
    },
    // Of a key with several, its own and not what others cross-signed.
    orderBy: [{ issues: 'desc' }, { trusted: 'desc' }, { createdAt: 'asc' }],
    select: { der: true },
  })
  if (!issuer) throw await nothingPublished(ctx.db.read, name)
  return Buffer.from(issuer.der)
}

const mostFullLists = 100

/** The lists of these authorities that have little room, the longest first; a tenant is told of its own and
 *  of everybody's. */
async function fullLists(
  tx: Tx,
  { tenantId }: Actor,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly FullList[]>> {
  const rows = await tx.$queryRaw<readonly FullRow[]>(sql`
    select * from (
      select authority."id"::text, authority."name" as authority, "listOverflow" as overflow,
        tenant."name" as tenant, "alarm", coalesce("entries", 0) as entries,
        coalesce("octets", 0) as octets,
        row_number() over (partition by authority."id" order by "octets" desc)::int as place
      from revocation_list
      join lateral (
        select distinct "authorityId" from issuer where "keyId" = revocation_list."keyId"
      ) issuer on true
      join authority on authority."id" = issuer."authorityId"
      left join tenant on tenant."crlShard" = "shard"
      where "alarm" is not null and authority."id" = any(${[...ids]}::uuid[])
        and (${tenantId}::uuid is null or tenant."id" is null or tenant."id" = ${tenantId}::uuid)
    ) full_list where place <= ${mostFullLists} order by octets desc`)
  const lists = rows.flatMap((row) => {
    const alarm = oneOf(['near', 'over'], row.alarm)
    const { tenant, entries } = row
    const octets = pemOctets(row.octets)
    const message = listSentence({ ...row, alarm })
    return [
      { id: row.id, full: { state: alarm, tenant, entries, octets, room: listRoom, message } },
    ]
  })
  const groups = Map.groupBy(lists, ({ id }) => id)
  return new Map([...groups].map(([id, group]) => [id, group.map(({ full }) => full)]))
}

/** What these authorities have published of revocations, by all of their keys whose certificates have not ended: of
 *  others no list is published any more. */
async function publishedLists(
  ctx: Context,
  ids: readonly string[],
): Promise<ReadonlyMap<string, RevocationLists>> {
  const rows = await ctx.db.read.$queryRaw<readonly PublishedRow[]>(sql`
    select issuer."authorityId"::text as id, count(*)::int as count,
      coalesce(sum("entries"), 0)::int as entries, min("thisUpdate") as "publishedAt",
      min("nextUpdate") as "staleAt"
    from (select distinct "authorityId", "keyId" from issuer
      where "authorityId" = any(${[...ids]}::uuid[]) and "notAfter" > ${ctx.now()}::timestamptz) issuer
    join revocation_list using ("keyId")
    where "thisUpdate" is not null and "nextUpdate" is not null group by 1`)
  return new Map(
    rows.map(({ id, publishedAt, staleAt, ...counts }) => [
      id,
      { ...counts, publishedAt: timestamp(publishedAt), staleAt: timestamp(staleAt) },
    ]),
  )
}

type PublishedRow = {
  readonly id: string
  readonly count: number
  readonly entries: number
  readonly publishedAt: Date
  readonly staleAt: Date
}

type FullRow = {
  readonly id: string
  readonly authority: string
  readonly overflow: string
  readonly tenant: string | null
  readonly alarm: string
  readonly entries: number
  readonly octets: number
}

function authorityView(
  actor: Actor,
  authority: IssuingAuthority,
  {
    path: [own, ...above],
    full,
    lists,
  }: {
    readonly path: readonly PathCertificate[]
    readonly full: readonly FullList[]
    readonly lists: RevocationLists | null
  },
): Authority {
  const { parent } = authority
  const issuer = authority.issuers[0]
  const certificate = issuer && readCertificate(Buffer.from(issuer.der))
  return shown(Authority, {
    name: authority.name,
    displayName: authority.displayName ?? authority.name,
    kind: authority.kind,
    parent: parent && mayKnow(actor, parent) ? parent.name : null,
    tenant: authority.tenant?.name ?? null,
    subject: shownJson(Authority.properties.subject, issuer?.subject ?? {}),
    keyAlgorithm: issuer?.key.algorithm ?? null,
    keyHeld: issuer !== undefined && issuer.key.store !== 'absent',
    keyStore: issuer?.key.store ?? 'absent',
    outlive: authority.outlive,
    crlShards: authority.crlShards,
    listOverflow: authority.listOverflow,
    approval: authority.approval,
    fullLists: [...full],
    lists,
    pathLength: certificate?.pathLength ?? null,
    nameConstraints: constraintsView(certificate?.nameConstraints),
    signsLists: certificate !== undefined && signsLists(certificate),
    maxValidityDays: authority.maxValidityDays,
    defaultValidityDays: authority.defaultValidityDays,
    profiles: authority.profiles,
    serial: issuer?.serial ?? null,
    notBefore: timestampOrNull(issuer?.notBefore ?? null),
    notAfter: timestampOrNull(issuer?.notAfter ?? null),
    fingerprintSha256: issuer?.fingerprintSha256 ?? null,
    pem: own ? toPem('CERTIFICATE', own.der) : '',
    chainPem: above.map(({ der }) => toPem('CERTIFICATE', der)).join(''),
    acme: null,
    retiredAt: timestampOrNull(authority.retiredAt),
    createdAt: timestamp(authority.createdAt),
  })
}

import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { batched, batchedReads } from '../../core/database/batch.ts'
import { bytes, quoted, sql } from '../../core/database/db.ts'
import { readRows, rowsOf } from '../../core/database/rows.ts'
import { oncePer } from '../../core/onceper.ts'
import { minute } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { Role } from '../../shared/schema.ts'
import { isToken, tokenHash } from './token.ts'

/** A token as it came, and with what. */
export type Presented = {
  readonly token: string
  readonly requestId: string
  /** Where the request came from. */
  readonly address: string
}

/** Who the bearer of an API key's token is. Throws credentials-refused for a token that is unknown,
 *  revoked or expired, without saying which. */
export async function authenticate(ctx: Context, { token, ...from }: Presented): Promise<Actor> {
  if (!isToken(token)) throw refused()
  return authenticateHash(ctx, { hash: tokenHash(token), ...from })
}

/** The same, by the hash of a token that was shown before. */
export async function authenticateHash(
  ctx: Context,
  { hash, requestId, address }: Omit<Presented, 'token'> & { readonly hash: Buffer },
): Promise<Actor> {
  const key = await findKey(ctx)(hash.toString('hex'))
  const now = ctx.now()
  const former = key !== null && hash.compare(key.tokenHash) !== 0
  const end = former ? key.formerUntil : key?.expiresAt
  if (!key || key.revokedAt !== null || (end != null && end <= now)) throw refused()
  return actorOf(ctx, key, { requestId, address, end: end ?? null })
}

/** Who shows a client certificate over TLS: the API key that is bound to it, most narrowly if to several of its names.
 *  `fingerprint` is that of the whole certificate: what is asked is whether it was issued here, to whom, and whether it
 *  is still good, at this moment. That its key is held has TLS shown. Throws credentials-refused. */
export async function authenticateCertificate(
  ctx: Context,
  { fingerprint, requestId, address }: Omit<Presented, 'token'> & { readonly fingerprint: Buffer },
): Promise<Actor> {
  const now = ctx.now()
  const [found] = await ctx.db.read.$queryRaw<readonly { id: string; notAfter: Date }[]>(sql`
    with held as (
      select certificate.*, array['sha256:' || encode("sha256", 'hex'), 'cn:' || "commonName"]
        || array(select 'uri:' || uri from unnest("uris") as uri)
        || array(select 'dns:' || name from unnest("dnsNames") as name) as names
      from certificate_fingerprint join certificate on certificate."id" = "certificateId"
      join issuer on issuer."id" = "issuerId"
      where "sha256" = ${bytes(fingerprint)} and "status" = 'active' and "profile" in ('client', 'peer')
        and "cause" <> 'probe' and certificate."revokedAt" is null and issuer."revokedAt" is null
        and certificate."notBefore" <= ${now} and certificate."notAfter" >= ${now}
    )
    select api_key."id"::text as id, "notAfter" from held
    join api_key on api_key."tenantId" = held."tenantId" and "boundTo" = any(names)
    where api_key."revokedAt" is null and ("expiresAt" is null or "expiresAt" > ${now})
    order by array_position(array['sha256', 'uri', 'dns', 'cn'], split_part("boundTo", ':', 1)), "boundTo"
    limit 1`)
  const key = found && (await ctx.db.read.apiKey.findUnique({ where: { id: found.id } }))
  if (!key || key.revokedAt !== null) throw refused()
  const { expiresAt } = key
  const end = expiresAt && expiresAt < found.notAfter ? expiresAt : found.notAfter
  return actorOf(ctx, key, { requestId, address, end })
}

function refused(): Problem {
  return new Problem('credentials-refused', 'Send a token that is in force, or have a new one made')
}

type Key = {
  readonly id: string
  readonly name: string
  readonly role: string
  readonly tenantId: string | null
  readonly scopes: string[]
  readonly lastUsedAt: Date | null
}

function actorOf(
  ctx: Context,
  key: Key,
  { requestId, address, end }: { requestId: string; address: string; end: Date | null },
): Actor {
  noteUse(ctx, key, { now: ctx.now(), address })
  return {
    kind: 'api-key',
    id: key.id,
    name: key.name,
    role: roleOf(key.role),
    tenantId: key.tenantId,
    requestId,
    ...(key.scopes.length === 0 ? {} : { scopes: key.scopes }),
    ...(end === null ? {} : { expiresAt: end.toISOString() }),
  }
}

const apiKeyRows = rowsOf('ApiKey', {})

/** By the hash of its token, or of the token before. */
const findKey = oncePer((ctx) => {
  const find = async (column: 'tokenHash' | 'formerHash', hashes: readonly string[]) => {
    const wanted = hashes.map((hash) => bytes(Buffer.from(hash, 'hex')))
    const rows = await readRows(ctx.db, apiKeyRows, [sql`${quoted(column)} = any(${wanted})`])
    return rows.map((row) => ({ ...row, found: hexOf(row[column]) }))
  }
  return batchedReads(
    async (hashes) => {
      const found = await find('tokenHash', hashes)
      const known = new Set(found.map((row) => row.found))
      const left = hashes.filter((hash) => !known.has(hash))
      return left.length === 0 ? found : [...found, ...(await find('formerHash', left))]
    },
    (key) => key.found,
  )
})

function hexOf(octets: Uint8Array | null): string {
  return Buffer.from(octets ?? []).toString('hex')
}

/** A role that this release does not know opens nothing. */
function roleOf(role: string): Actor['role'] {
  const known = Role.enum.find((each) => each === role)
  if (known !== undefined) return known
  throw new Problem('credentials-refused', `The role "${role}" is not known here`)
}

type Use = { readonly id: string; readonly at: Date; readonly from: string }

/** Keys whose use was written of late, by this process: the row that was read may be older than that. */
const written = oncePer(() => new Map<string, number>())
const mostWritten = 10_000

/** Has it written when a key is used, and from where: at most once a minute, after the request and for
 *  many keys together, so that no request waits for it. */
function noteUse(
  ctx: Context,
  { id, lastUsedAt }: { readonly id: string; readonly lastUsedAt: Date | null },
  { now, address }: { readonly now: Date; readonly address: string },
): void {
  const known = written(ctx)
  const last = Math.max(lastUsedAt?.getTime() ?? 0, known.get(id) ?? 0)
  if (now.getTime() - last < minute) return
  if (known.size >= mostWritten) known.clear()
  known.set(id, now.getTime())
  writeUses(ctx)({ id, at: now, from: address }).catch((error: unknown) => {
    known.delete(id)
    ctx.log.warn({ err: error }, 'the last use of an API key could not be written')
  })
}

const writeUses = oncePer((ctx) =>
  batched(
    async (uses: readonly Use[]) => {
      const ids = uses.map(({ id }) => id)
      const times = uses.map(({ at }) => at)
      const addresses = uses.map(({ from }) => from)
      await ctx.db.read.$executeRaw(sql`
        update api_key set "lastUsedAt" = used.at, "lastUsedFrom" = used.source
        from unnest(${ids}::uuid[], ${times}::timestamptz[], ${addresses}::text[])
          as used (id, at, source)
        where api_key."id" = used.id
          and ("lastUsedAt" is null or "lastUsedAt" <= used.at - interval '1 minute')`)
      return uses
    },
    { size: 500, lanes: 1 },
  ),
)

import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { fairTurns } from '../../core/keys/turns.ts'
import { oncePer } from '../../core/onceper.ts'
import { refuse, type Violation } from '../../shared/problem.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { toPem } from '../../x509/der/pem.ts'
import { type Compatibility, passwordFault, toTrustStore } from '../../x509/stores/write.ts'
import { issuingAuthority, pathsOf } from '../issuers/current.ts'
import { nothingPublished } from '../published.ts'

/** What to trust for an authority's certificates, in PEM: the roots above each of its issuer
 *  certificates, so that through a rotation it holds the old and the new one. Public. Throws
 *  authority-unknown. */
export async function getTrustBundle(ctx: Context, name: string): Promise<string> {
  const roots = await rootsAbove(ctx, name)
  return roots.map((der) => toPem('CERTIFICATE', der)).join('')
}

/** The same as a PKCS#12 store that Java takes for a trust store, under `password`. Throws
 *  authority-unknown, request-invalid. */
export async function getTrustStore(
  ctx: Context,
  actor: Actor,
  request: {
    readonly authority: string
    readonly password: string | undefined
    readonly compatibility?: Compatibility | undefined
  },
): Promise<Buffer> {
  const { authority: name, password = '', compatibility } = request
  await issuingAuthority(ctx, { name, tenantId: actor.tenantId })
  refuse('request-invalid', storePasswordFaults(password))
  const certificates = (await rootsAbove(ctx, name)).map((der) => ({
    der,
    // Names of entries are told apart by it: through a rotation two roots have the same subject.
    friendlyName: `${name}-${fingerprintSha256(der).slice(0, 8)}`,
  }))
  const party = actor.tenantId ?? 'platform'
  return inStoreTurn(ctx, party, () =>
    toTrustStore({ certificates, password, random: ctx.random(80), compatibility }),
  )
}

/** Makes a PKCS#12 store when the turn of `party` has come: deriving its keys takes tens of
 *  milliseconds, so they are made one after the other, fair between tenants. Throws busy. */
export function inStoreTurn(
  ctx: Context,
  party: string,
  make: () => Promise<Buffer>,
): Promise<Buffer> {
  return storeTurns(ctx)(party, make)
}

const storeTurns = oncePer(() =>
  fairTurns({ atOnce: 1, room: { all: 200, each: 50 }, what: 'PKCS#12 stores', seconds: 0.05 }),
)

/** What is wrong with the password that is to close a store. */
export function storePasswordFaults(password: string): readonly Violation[] {
  const field = 'headers/x-bundle-password'
  if (password === '') {
    return [{ field, message: 'Send the password for the store in the X-Bundle-Password header' }]
  }
  const fault = passwordFault(password)
  return fault === undefined ? [] : [{ field, message: fault }]
}

async function rootsAbove(ctx: Context, name: string): Promise<readonly Buffer[]> {
  const issuers = await ctx.db.read.issuer.findMany({
    where: { authority: { name, removedAt: null }, trusted: true },
    orderBy: { createdAt: 'asc' },
    select: { id: true },
  })
  if (issuers.length === 0) throw await nothingPublished(ctx.db.read, name)
  const ids = issuers.map(({ id }) => id)
  const paths = await pathsOf(ctx.db.read, ids)
  const roots = ids.flatMap((id) => paths.get(id)?.at(-1)?.anchor ?? [])
  return [...new Map(roots.map((der) => [fingerprintSha256(der), der])).values()]
}

import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, inTransaction } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import {
  fingerprintSha256,
  type ParsedCertificate,
  readCertificate,
} from '../../x509/certificates/read.ts'
import { type Authority, authoritySubject, type ImportedAuthority } from '../authority.ts'
import { getAuthority } from '../find.ts'
import { signAnchor } from '../issuers/cacertificate.ts'
import { dueAbove, storeIssuer } from '../issuers/store.ts'
import { openSigner } from '../keys/signer.ts'
import { refuseUnderway } from '../rotation/rotate.ts'
import { dueAll, trustingPlacements } from '../trust/placements.ts'
import { isRoot } from './acceptable.ts'
import type { KnownIssuer, Standing } from './standing.ts'

/** The issuer certificate by which the key of a certificate signs here, and its authority; null: nobody has that
 *  key. */
export type KeyHolder = Awaited<ReturnType<typeof holderOf>>

/** Finds whose the key of a certificate is. */
export function holderOf(ctx: Context, { spki }: ParsedCertificate) {
  return ctx.db.read.issuer.findFirst({
    where: {
      ...{ key: { spkiSha256: fingerprintSha256(spki) }, issues: true },
      authority: { removedAt: null },
    },
    include: {
      authority: { include: { tenant: { select: { name: true } } } },
      key: { select: { store: true } },
    },
  })
}

type Renewal = {
  readonly holder: NonNullable<KeyHolder>
  readonly request: ImportedAuthority
  readonly standing: Standing
  /** Stores those above it that came with it; answers the nearest. */
  readonly addAbove: (
    ctx: Context,
    actor: Actor,
    sent: { readonly request: ImportedAuthority; readonly standing: Standing },
  ) => Promise<KnownIssuer | null>
}

/** Puts a certificate in the place of the one by which an authority signs: of the same name and key, made anew
 *  where that was made. What was issued before verifies by either, and what stands below moves over; the key, its
 *  lists and the settings of the authority stay. Throws authority-exists, authority-refused, rotation-underway. */
export async function renewIssuer(
  ctx: Context,
  actor: Actor,
  { holder, request, standing, addAbove }: Renewal,
): Promise<Authority> {
  const { authority } = holder
  const { certificate, path } = standing
  const old = readCertificate(Buffer.from(holder.der))
  refuseOther(holder, request, certificate)
  refuse('authority-refused', [
    ...renewalFaults(old, certificate, standing),
    ...settingFaults(request),
  ])
  const root = isRoot(certificate)
  const anchor =
    root || holder.key.store === 'absent'
      ? certificate.der
      : await signAnchor(ctx, { certificate, signer: await openSigner(ctx, holder.keyId), path })
  return ctx.db.transaction(async (tx) => {
    const within = inTransaction(ctx, tx)
    await refuseUnderway(tx, authority)
    const tenant = authority.tenant?.name ?? null
    const sent = { request: { ...request, tenant }, standing }
    const parent = standing.above.length > 0 ? await addAbove(within, actor, sent) : standing.known
    await tx.issuer.update({
      where: { id: holder.id },
      data: { issues: false, trusted: false },
    })
    const issuerId = await storeIssuer(within, tx, {
      ...{ authorityId: authority.id, keyId: holder.keyId, parentId: parent?.id ?? null },
      ...{ der: certificate.der, anchor, certificate, issues: true },
    })
    await tx.authority.update({
      where: { id: authority.id },
      data: { parentId: parent?.authorityId ?? null },
    })
    await moveOver(tx, { from: holder.id, to: issuerId, serial: certificate.serial })
    await dueAll(tx, await trustingPlacements(tx, authority.name))
    await dueAbove(tx, authority.id)
    await record(tx, { actor, now: ctx.now() }, 'authority.renewed', {
      subject: authoritySubject(authority),
      changes: {
        from: old.serial,
        to: certificate.serial,
        notAfter: certificate.validity.notAfter.toISOString(),
      },
    })
    return getAuthority(within, actor, authority.name)
  })
}

function refuseOther(
  { authority: { name }, fingerprintSha256: own }: NonNullable<KeyHolder>,
  request: ImportedAuthority,
  certificate: ParsedCertificate,
): void {
  if (name === request.name && own !== fingerprintSha256(certificate.der)) return
  throw new Problem(
    'authority-exists',
    name === request.name
      ? `"${name}" has this very certificate; it need not be imported twice`
      : `There is an authority with this very key, "${name}": under that name a renewed certificate takes the place of the one before`,
  )
}

function renewalFaults(
  old: ParsedCertificate,
  next: ParsedCertificate,
  { field }: Standing,
): readonly Violation[] {
  const { subjectKeyIdentifier: before } = old
  const { subjectKeyIdentifier: after } = next
  const same = before === undefined ? after === undefined : after?.equals(before) === true
  const faults: readonly (readonly [boolean, string])[] = [
    [
      !next.subjectDer.equals(old.subjectDer),
      'Its subject is not that of the certificate before, so that what was issued does not lead to it',
    ],
    [
      !same,
      'Its subjectKeyIdentifier is not that of the certificate before, by which what was issued names the key',
    ],
    [
      isRoot(next) !== isRoot(old),
      'The one is self-signed and the other is not: a certificate of the same kind takes its place',
    ],
    [next.validity.notAfter < old.validity.notAfter, 'It ends before the one that is in use'],
  ]
  return faults.flatMap(([broken, message]) => (broken ? [{ field, message }] : []))
}

/** The settings of an authority are changed by PATCH, not on the way. */
function settingFaults(request: ImportedAuthority): readonly Violation[] {
  const { name, certificate, privateKey, pkcs12, passphrase, key, ...settings } = request
  return Object.keys(settings).map((field) => ({
    field: `/${field}`,
    message: 'The settings of an authority that is here stay: leave it out, and change it by PATCH',
  }))
}

/** What the one before had signed is led to the new one, but for what says by its serial which one it is. */
async function moveOver(
  tx: Tx,
  { from, to, serial }: { from: string; to: string; serial: string },
): Promise<void> {
  const below = await tx.issuer.findMany({
    where: { parentId: from },
    select: { id: true, der: true },
  })
  const free = below.filter(({ der }) => {
    const named = readCertificate(Buffer.from(der)).authorityCertificate?.serial
    return named === undefined || named === serial
  })
  await tx.issuer.updateMany({
    where: { id: { in: free.map(({ id }) => id) } },
    data: { parentId: to },
  })
}

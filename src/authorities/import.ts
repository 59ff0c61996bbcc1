import { type Actor, allowPlatform } from '../core/actor.ts'
import { type Context, inTransaction } from '../core/context.ts'
import { type ReadSent, readSent } from '../core/opening/sent.ts'
import { orRefuse } from '../core/refusal.ts'
import { Problem, refuse, type Violation } from '../shared/problem.ts'
import { profilesUnder } from '../x509/certificates/purposes.ts'
import { fingerprintSha256 } from '../x509/certificates/read.ts'
import { spkiOf } from '../x509/keys/public.ts'
import { keySigner, type Signer } from '../x509/keys/sign.ts'
import { addAuthority } from './add.ts'
import type { Authority, ImportedAuthority } from './authority.ts'
import { isRoot } from './foreign/acceptable.ts'
import { holderOf, renewIssuer } from './foreign/renew.ts'
import { type Standing, standingFaults, standingOf } from './foreign/standing.ts'
import { signAnchor } from './issuers/cacertificate.ts'
import { profileFaults, reservedNameFaults, validityLimitFaults } from './issuers/store.ts'
import { blockedFault } from './keys/blocked.ts'
import { type HeldKey, keyFor } from './keys/signer.ts'

/** Takes over a CA made elsewhere, such as the runbook's openssl root: its certificate and, if it is to sign here,
 *  its private key, as PEM or in a PKCS#12 store. Authorities above it that came with it and are not known become
 *  authorities of their own, without keys; else its issuer has to be known first. A certificate of the key and the
 *  name of an authority that is here takes the place of its certificate. Throws authority-exists,
 *  authority-refused, tenant-unknown, rotation-underway, busy. */
export async function importAuthority(
  ctx: Context,
  actor: Actor,
  request: ImportedAuthority,
): Promise<Authority> {
  allowPlatform(actor, 'write-authorities')
  const sent = await readSent(ctx, request, { party: 'platform', type: 'authority-refused' })
  const key = await keyOf(ctx, request, sent)
  const standing = await standingOf(ctx, sent, key?.spki)
  const { certificate, above, path } = standing
  const holder = await holderOf(ctx, certificate)
  refuse('authority-refused', [
    ...standingFaults(standing, ctx.now()),
    ...(await keyFaultsOf(ctx, { standing, key, field: request.key ? '/key' : sent.keyField })),
    ...validityLimitFaults(request),
    ...reservedNameFaults(request.name),
  ])
  const profiles = profilesUnder([certificate, ...path])
  refuse('authority-refused', profileFaults(request, profiles))
  if (holder) return renewIssuer(ctx, actor, { holder, request, standing, addAbove })
  const root = isRoot(certificate)
  const anchor =
    root || !key
      ? certificate.der
      : await signAnchor(ctx, { certificate, signer: key.signer, path })
  return ctx.db.transaction(async (tx) => {
    const within = inTransaction(ctx, tx)
    const parent =
      above.length > 0 ? await addAbove(within, actor, { request, standing }) : standing.known
    return addAuthority(within, actor, {
      request,
      issuer: { der: certificate.der, anchor, parentId: parent?.id ?? null, certificate },
      key: key?.held ?? { store: 'absent' },
      kind: root ? 'root' : 'intermediate',
      parentId: parent?.authorityId ?? null,
      profiles,
      action: 'authority.imported',
      changes: {},
      taken: 'with this very key; it need not be imported twice',
    })
  })
}

/** Stores the authorities above that came with one and are not known, topmost first and without keys; answers the
 *  nearest. */
async function addAbove(
  ctx: Context,
  actor: Actor,
  { request: { name, tenant }, standing }: { request: ImportedAuthority; standing: Standing },
) {
  const { above, path } = standing
  let parent = standing.known
  for (const [index, certificate] of [...above.entries()].toReversed()) {
    const root = isRoot(certificate)
    const stem = name.slice(0, 50).replace(/-+$/, '')
    await addAuthority(ctx, actor, {
      request: {
        name: root ? `${stem}-root` : `${stem}-above-${index + 1}`,
        ...(tenant === undefined ? {} : { tenant }),
      },
      issuer: {
        ...{ der: certificate.der, anchor: certificate.der },
        ...{ parentId: parent?.id ?? null, certificate },
      },
      key: { store: 'absent' },
      kind: root ? 'root' : 'intermediate',
      parentId: parent?.authorityId ?? null,
      profiles: profilesUnder(path.slice(index)),
      action: 'authority.imported',
      changes: { with: name },
      taken: 'with the key of a certificate above it; import that first, under another name',
    })
    parent = await ctx.db.read.issuer.findUniqueOrThrow({
      where: { fingerprintSha256: fingerprintSha256(certificate.der) },
      select: { id: true, authorityId: true },
    })
  }
  return parent
}

async function keyFaultsOf(
  ctx: Context,
  given: {
    readonly standing: Standing
    readonly key: ImportedKey | undefined
    readonly field: string
  },
): Promise<readonly Violation[]> {
  const { standing, key, field } = given
  const { certificate, above } = standing
  const spkis = [certificate, ...above].map(({ spki }) => spki)
  const blocked = await Promise.all(spkis.map((spki) => blockedFault(ctx.db.read, spki)))
  return [
    ...blocked.flatMap((message) =>
      message === undefined ? [] : [{ field: standing.field, message }],
    ),
    ...(key && !key.spki.equals(certificate.spki)
      ? [{ field, message: 'It is not the key of the certificate' }]
      : []),
  ]
}

type ImportedKey = {
  readonly spki: Buffer
  readonly signer: Signer
  readonly held: HeldKey
}

/** The key that came with the certificate, or that is in the token already; undefined: it is not held
 *  here. */
async function keyOf(
  ctx: Context,
  { key }: ImportedAuthority,
  { privateKey, keyField }: ReadSent,
): Promise<ImportedKey | undefined> {
  if (key && privateKey) {
    throw new Problem('authority-refused', 'Send a private key or key, not both')
  }
  if (key) {
    if ('uri' in key.pkcs11) return keyFor(ctx, { key })
    throw new Problem('authority-refused', 'key: name by its uri a key that is in the token')
  }
  if (!privateKey) return undefined
  const signer = orRefuse('authority-refused', keyField, () => keySigner(privateKey))
  return { spki: spkiOf(privateKey), signer, held: { store: 'sealed', privateKey } }
}

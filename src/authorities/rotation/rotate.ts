import { record } from '../../audit/record.ts'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import { type Context, inTransaction, newId } from '../../core/context.ts'
import { isDuplicate, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { day } from '../../shared/moment.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { roomUnder } from '../../x509/certificates/chain.ts'
import { readCertificate } from '../../x509/certificates/read.ts'
import { type AuthorityAlgorithm, isCertified, type KeyAlgorithm } from '../../x509/keys/public.ts'
import { needTwo } from '../approvals/policy.ts'
import { authoritySubject } from '../authority.ts'
import {
  type SelfTemplate,
  sameKeyAs,
  signByParent,
  signSelfSigned,
} from '../issuers/cacertificate.ts'
import { anchorConstraints, constraintsAlong } from '../issuers/constraints.ts'
import {
  currentIssuer,
  type IssuingAuthority,
  issuingAuthority,
  retiredMessage,
} from '../issuers/current.ts'
import { openParent, type Parent, parentOf } from '../issuers/parent.ts'
import { storeIssuer, storeKeyOf } from '../issuers/store.ts'
import { caValidity, crossValidity } from '../issuers/validity.ts'
import { keyFaults } from '../keys/blocked.ts'
import { type HeldKey, keyFor } from '../keys/signer.ts'
import { dueAll, trustingPlacements } from '../trust/placements.ts'
import { getRotation } from './find.ts'
import type { NewRotation, Rotation } from './steps.ts'

/** Begins to change the key of an authority: makes the next key and its certificate, of the same name
 *  and limits, by the parent as it signs now; a root's signs itself, and the two keys sign one another
 *  (RFC 4210 4.4). It does not sign leaves yet: the rest is done step by step, see rotation.ts. Throws
 *  authority-unknown, authority-refused, authority-keyless, rotation-underway, approval-needed. */
export async function rotateAuthority(
  ctx: Context,
  actor: Actor,
  { authority: name, request }: { authority: string; request: NewRotation },
): Promise<Rotation> {
  allowPlatform(actor, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  needTwo(ctx, authority)
  if (authority.retiredAt !== null) throw new Problem('authority-refused', retiredMessage(name))
  const from = currentIssuer(authority)
  await refuseUnderway(ctx.db.read, authority)
  if (from.key.store === 'pkcs11' && !request.key) {
    refuse('authority-refused', [
      { field: '/key', message: 'Its key is in a token: say which key of the token is the next' },
    ])
  }
  const next = await successorOf(ctx, authority, request)
  const now = ctx.now()
  const id = newId(now)
  try {
    return await ctx.db.transaction(async (tx) => {
      const toId = await storeSuccessor(ctx, tx, { authority, next })
      await tx.rotation.create({
        data: {
          id,
          authorityId: authority.id,
          fromId: from.id,
          toId,
          step: 'trust',
          since: now,
          startedAt: now,
          deadline: new Date(now.getTime() + (request.deadlineDays ?? 30) * day),
        },
      })
      await record(tx, { actor, now }, 'authority.rotating', {
        subject: authoritySubject(authority),
        changes: {
          step: 'trust',
          from: from.serial,
          to: readCertificate(next.der).serial,
          keyAlgorithm: next.own.signer.algorithm,
          notAfter: next.own.validity.notAfter.toISOString(),
        },
      })
      await dueAll(tx, await trustingPlacements(tx, name))
      await due(tx, 'authority.rotate', { authorityId: authority.id })
      return getRotation(inTransaction(ctx, tx), actor, name)
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    await refuseUnderway(ctx.db.read, authority)
    throw new Problem('authority-refused', 'key: this key is an authority’s already')
  }
}

/** Throws rotation-underway while the key of an authority is being changed. */
export async function refuseUnderway(
  tx: Tx,
  { id, name }: { readonly id: string; readonly name: string },
): Promise<void> {
  const other = await tx.rotation.findFirst({
    where: { authorityId: id, step: { not: 'done' } },
    select: { step: true },
  })
  if (!other) return
  throw new Problem(
    'rotation-underway',
    `"${name}" is at the step "${other.step}"; wait for its end`,
  )
}

/** The next certificate of an authority, and for a root the cross-certificates in both directions. */
type Successor = {
  readonly own: SelfTemplate
  readonly held: HeldKey
  readonly der: Buffer
  readonly anchor: Buffer
  readonly parentId: string | null
  readonly crossed?: { readonly newByOld: Buffer; readonly oldByNew: Buffer }
}

async function successorOf(
  ctx: Context,
  authority: IssuingAuthority,
  request: NewRotation,
): Promise<Successor> {
  const from = currentIssuer(authority)
  const old = readCertificate(Buffer.from(from.der))
  const root = authority.kind === 'root'
  if (!root && !authority.parent) {
    throw new Problem('authority-refused', 'It was signed elsewhere: import its next certificate')
  }
  // Opened before a key is made: who cannot sign the next one is refused first.
  const parent = authority.parent ? await openParent(ctx, authority.parent.name) : null
  const before = root ? await openParent(ctx, authority.name) : null
  const { validityDays, key } = request
  const validity = caValidity(
    {
      kind: root ? 'root' : 'intermediate',
      outlive: 'truncate',
      ...(authority.parent ? { parent: authority.parent.name } : {}),
      ...(validityDays === undefined ? {} : { validityDays }),
    },
    ctx.now(),
    parent?.validity,
  )
  const keyAlgorithm = request.keyAlgorithm ?? (key ? undefined : nextAlgorithm(old.keyAlgorithm))
  const { spki, signer, held } = await keyFor(ctx, {
    ...(key ? { key } : {}),
    ...(keyAlgorithm === undefined ? {} : { keyAlgorithm }),
  })
  refuse('authority-refused', await keyFaults(ctx, spki))
  const own = {
    signer,
    spki,
    subject: old.subjectDer,
    validity,
    pathLength: parent ? roomUnder(old, parent.path) : old.pathLength,
    nameConstraints: anchorConstraints(old, constraintsAlong(parent?.path ?? [])),
    succeeds: old,
  }
  const anchor = await signSelfSigned(ctx, own)
  const der = parent ? await signByParent(ctx, parent, own) : anchor
  const made = { own, held, der, anchor, parentId: parent?.issuerId ?? null }
  return before ? { ...made, crossed: await cross(ctx, authority, { before, own, der }) } : made
}

/** That of the key before, as far as such keys are made. */
function nextAlgorithm(before: AuthorityAlgorithm | undefined): KeyAlgorithm {
  return isCertified(before) ? before : 'ECDSA_P384'
}

/** NewWithOld and OldWithNew (RFC 4210 4.4), while both keys hold. */
async function cross(
  ctx: Context,
  { name }: IssuingAuthority,
  { before, own, der }: { before: Parent; own: SelfTemplate; der: Buffer },
) {
  const [old] = before.path
  if (!old) throw new Error(`authority ${name} has no certificate`)
  const validity = crossValidity(own.validity, old.validity, own.validity.notBefore)
  const after = parentOf(ctx, { name, certificate: readCertificate(der), signer: own.signer })
  return {
    newByOld: await signByParent(ctx, before, { ...own, validity }),
    oldByNew: await signByParent(ctx, after, { ...own, ...sameKeyAs(old), validity }),
  }
}

/** Stores what was made, none of it signing leaves yet; answers the id of the next issuer. */
async function storeSuccessor(
  ctx: Context,
  tx: Tx,
  { authority, next }: { authority: IssuingAuthority; next: Successor },
): Promise<string> {
  const { der, anchor, parentId, held, crossed } = next
  const from = currentIssuer(authority)
  const certificate = readCertificate(der)
  const keyId = await storeKeyOf(ctx, tx, { certificate, key: held })
  const shared = { authorityId: authority.id, issues: false }
  const toId = await storeIssuer(ctx, tx, { ...shared, keyId, der, anchor, parentId, certificate })
  if (!crossed) return toId
  const { newByOld, oldByNew } = crossed
  await storeIssuer(ctx, tx, {
    ...shared,
    ...{ keyId, parentId: from.id, der: newByOld, anchor },
    certificate: readCertificate(newByOld),
    trusted: false,
    served: true,
  })
  await storeIssuer(ctx, tx, {
    ...shared,
    ...{ keyId: from.keyId, parentId: toId, der: oldByNew, anchor: Buffer.from(from.anchor) },
    certificate: readCertificate(oldByNew),
    trusted: false,
  })
  return toId
}

import { record } from '../../audit/record.ts'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { closed, Name } from '../../shared/schema.ts'
import { roomUnder } from '../../x509/certificates/chain.ts'
import { type ParsedCertificate, readCertificate } from '../../x509/certificates/read.ts'
import { backdated } from '../../x509/certificates/validity.ts'
import { toPem } from '../../x509/der/pem.ts'
import { needTwo } from '../approvals/policy.ts'
import { authoritySubject } from '../authority.ts'
import { nothingPublished } from '../published.ts'
import { sameKeyAs, signByParent } from './cacertificate.ts'
import { anchorConstraints, constraintsAlong, importedFaults } from './constraints.ts'
import { currentIssuer, issuingAuthority, pathsOf, withoutRoot } from './current.ts'
import { openParent, type Parent } from './parent.ts'
import { dueAbove, storeIssuer } from './store.ts'
import { crossValidity } from './validity.ts'
import { type IssuerView, issuerShown, issuerView } from './view.ts'

export const CrossSigning = closed(
  { by: Name },
  { title: 'CrossSigning', examples: [{ by: 'partner-root' }] },
)

/** Has the key of an authority certified by another one too: same name, key and key identifier, with no
 *  more authorities below and no more names than before, nor than the other one may give, and within
 *  both periods. It signs nothing new and is published at /pki/{authority}/chains.pem. Hosts that let in
 *  clients of `by` are looked at again: those of this authority lead there now. Throws
 *  authority-unknown, authority-refused, authority-keyless (of `by`), approval-needed. */
export async function crossSign(
  ctx: Context,
  actor: Actor,
  { authority: name, by }: { authority: string; by: string },
): Promise<IssuerView> {
  allowPlatform(actor, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  const issuer = currentIssuer(authority)
  const own = readCertificate(Buffer.from(issuer.der))
  if (name === by) throw new Problem('authority-refused', 'by: name another authority')
  needTwo(ctx, authority)
  needTwo(ctx, await issuingAuthority(ctx, { name: by, tenantId: null }))
  const parent = await openParent(ctx, by)
  const above = constraintsAlong(parent.path)
  const now = ctx.now()
  refuse('authority-refused', [...faults(own, parent), ...importedFaults(own, above)])
  const der = await signByParent(ctx, parent, {
    ...sameKeyAs(own),
    validity: crossValidity(own.validity, parent.validity, backdated(now)),
    // RFC 5280 4.2.1.9: as many below as its own certificate says, and as the path above leaves.
    pathLength: roomUnder(own, parent.path),
    nameConstraints: anchorConstraints(own, above),
  })
  const certificate = readCertificate(der)
  return ctx.db.transaction(async (tx) => {
    const id = await storeIssuer(ctx, tx, {
      authorityId: authority.id,
      keyId: issuer.keyId,
      parentId: parent.issuerId,
      der,
      anchor: Buffer.from(issuer.anchor),
      certificate,
      issues: false,
      trusted: false,
    })
    await dueAbove(tx, authority.id)
    await record(tx, { actor, now }, 'authority.cross-signed', {
      subject: authoritySubject(authority),
      changes: {
        by,
        serial: certificate.serial,
        notAfter: certificate.validity.notAfter.toISOString(),
      },
    })
    const where = { id }
    return issuerView(await tx.issuer.findUniqueOrThrow({ where, include: issuerShown }), actor)
  })
}

function faults(own: ParsedCertificate, { path, validity }: Parent): readonly Violation[] {
  const field = '/by'
  if (own.validity.notAfter <= validity.notBefore || validity.notAfter <= own.validity.notBefore) {
    return [{ field, message: 'The two are not valid at the same time' }]
  }
  if ((roomUnder(own, path) ?? 0) < 0) {
    const message = 'It, or one above it, allows no authorities below it (pathLength)'
    return [{ field, message }]
  }
  return []
}

/** Every certificate of an authority's keys and all above them, without the roots themselves, in PEM,
 *  each once: whoever verifies finds a chain among them to any root that they trust. Public. Throws
 *  authority-unknown. */
export async function getChains(ctx: Context, name: string): Promise<string> {
  const rows = await ctx.db.read.issuer.findMany({
    where: { authority: { name, removedAt: null }, notAfter: { gte: ctx.now() } },
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    select: { id: true },
  })
  if (rows.length === 0) throw await nothingPublished(ctx.db.read, name)
  const ids = rows.map(({ id }) => id)
  const paths = await pathsOf(ctx.db.read, ids)
  const between = ids.flatMap((id) => withoutRoot(paths.get(id) ?? []))
  const pems = between.map(({ der }) => toPem('CERTIFICATE', der))
  return [...new Set(pems)].join('')
}

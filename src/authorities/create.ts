import { type Actor, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { orRefuse } from '../core/refusal.ts'
import { refuse, type Violation } from '../shared/problem.ts'
import { roomBelow } from '../x509/certificates/chain.ts'
import { profilesUnder } from '../x509/certificates/purposes.ts'
import { readCertificate } from '../x509/certificates/read.ts'
import type { DistinguishedName } from '../x509/names/attributes.ts'
import { encodeName } from '../x509/names/distinguished.ts'
import { createCa } from './acme/create.ts'
import { ownKindFaults } from './acme/faults.ts'
import { addAuthority } from './add.ts'
import type { Authority, NewAuthority } from './authority.ts'
import { signByParent, signSelfSigned } from './issuers/cacertificate.ts'
import { askedFaults, constraintsAlong, constraintsFor } from './issuers/constraints.ts'
import { openParent, type Parent } from './issuers/parent.ts'
import { profileFaults, reservedNameFaults, validityLimitFaults } from './issuers/store.ts'
import { caValidity } from './issuers/validity.ts'
import { keyFaults } from './keys/blocked.ts'
import { keyFor } from './keys/signer.ts'

/** Creates a root, an intermediate under a parent whose key is held here, or an account with a CA elsewhere (acme). The certificate leaves
 *  the process only after it is stored. Throws authority-exists, authority-unknown,
 *  authority-refused, authority-keyless, tenant-unknown. */
export async function createAuthority(
  ctx: Context,
  actor: Actor,
  request: NewAuthority,
): Promise<Authority> {
  allowPlatform(actor, 'write-authorities')
  if (request.kind === 'acme') return createCa(ctx, actor, request)
  const { kind, subject: asked = {} } = request
  refuse('authority-refused', [...faults(request), ...ownKindFaults(request)])
  const subject = orRefuse('authority-refused', '/subject', () => encodeName(asked))
  const parent = request.parent === undefined ? null : await openParent(ctx, request.parent)
  const above = constraintsAlong(parent?.path ?? [])
  const profiles = profilesUnder(parent?.path ?? [])
  refuse('authority-refused', [
    ...pathFaults(request, parent),
    ...profileFaults(request, profiles),
    ...askedFaults(request.nameConstraints, { subject, above }),
  ])
  const validity = caValidity(request, ctx.now(), parent?.validity)
  const { spki, signer, held } = await keyFor(ctx, request)
  refuse('authority-refused', await keyFaults(ctx, spki))
  const template = {
    signer,
    spki,
    subject,
    validity,
    pathLength: request.pathLength ?? (parent ? 0 : undefined),
    nameConstraints: constraintsFor(request.nameConstraints, above),
  }
  const anchor = await signSelfSigned(ctx, template)
  const der = parent ? await signByParent(ctx, parent, template) : anchor
  const certificate = readCertificate(der)
  return addAuthority(ctx, actor, {
    request,
    issuer: { der, anchor, parentId: parent?.issuerId ?? null, certificate },
    key: held,
    kind,
    parentId: parent?.authorityId ?? null,
    profiles,
    action: 'authority.created',
    changes: {
      kind,
      parent: request.parent ?? null,
      keyAlgorithm: signer.algorithm,
      nameConstraints: request.nameConstraints ? JSON.stringify(request.nameConstraints) : null,
    },
    taken: 'with this key in the token; choose another name or key',
  })
}

function faults(request: NewAuthority): readonly Violation[] {
  const named: DistinguishedName = request.subject ?? {}
  return [
    ...reservedNameFaults(request.name),
    ...(request.kind === 'intermediate' && request.parent === undefined
      ? [{ field: '/parent', message: 'An intermediate needs a parent' }]
      : []),
    ...(request.kind === 'root' && request.parent !== undefined
      ? [{ field: '/parent', message: 'A root has no parent' }]
      : []),
    ...(named.commonName === undefined && named.organization === undefined
      ? [{ field: '/subject', message: 'The subject needs a commonName or an organization' }]
      : []),
    ...validityLimitFaults(request),
  ]
}

/** RFC 5280 4.2.1.9: no more authorities follow than all those above allow. */
function pathFaults(request: NewAuthority, parent: Parent | null): readonly Violation[] {
  const room = parent ? roomBelow(parent.path) : undefined
  const { pathLength = 0 } = request
  if (room === undefined || pathLength < room) return []
  const message =
    room <= 0
      ? `"${request.parent}" may not have authorities below it (pathLength of it, or of one above it)`
      : `pathLength must be below ${room}: "${request.parent}" and those above it allow no more`
  return [{ field: room <= 0 ? '/parent' : '/pathLength', message }]
}

import type { Violation } from '../../shared/problem.ts'
import type { ParsedCertificate } from '../../x509/certificates/read.ts'
import { authorityFaults, type NameFault } from '../../x509/constraints/faults.ts'
import {
  emptyIntersections,
  intersection,
  spaceFaults,
  spaceKinds,
  wideningFaults,
} from '../../x509/constraints/intersection.ts'
import { type NameConstraints, noSubtrees, type Subtrees } from '../../x509/constraints/subtrees.ts'
import { noAltNames } from '../../x509/names/altnames.ts'
import { formatName, readName } from '../../x509/names/distinguished.ts'
import type { Authority, RequestedConstraints } from '../authority.ts'

const none: NameConstraints = { permitted: noSubtrees, excluded: noSubtrees }

/** What all certificates of a path hold together; `none` of them may say anything. */
export function constraintsAlong(path: readonly ParsedCertificate[]): NameConstraints {
  return path.reduce((all, { nameConstraints }) => intersection(all, nameConstraints ?? none), none)
}

/** The constraints of a new authority below one that is held to `above`: those asked for, and all that
 *  it inherits. Undefined when there are none. */
export function constraintsFor(
  request: RequestedConstraints | undefined,
  above: NameConstraints,
): NameConstraints | undefined {
  return orNone(intersection(above, readAsked(request)))
}

/** The constraints of the self-signed form of an imported authority, see Issuer.anchor. */
export function anchorConstraints(
  certificate: ParsedCertificate,
  above: NameConstraints,
): NameConstraints | undefined {
  return orNone(intersection(above, certificate.nameConstraints ?? none))
}

/** Why a new authority may not have these constraints under those `above`. */
export function askedFaults(
  request: RequestedConstraints | undefined,
  { subject, above }: { subject: Buffer; above: NameConstraints },
): readonly Violation[] {
  const own = readAsked(request)
  const under = (prefix: string, faults: readonly NameFault[]) =>
    faults.map(({ field, message }) => ({ field: `${prefix}${field}`, message }))
  const malformed = spaceFaults(own)
  const empty = request !== undefined && !orNone(own)
  return [
    ...under('/nameConstraints', malformed.length > 0 ? malformed : wideningFaults(above, own)),
    ...(empty
      ? [{ field: '/nameConstraints', message: 'Permit or exclude something, or leave it out' }]
      : []),
    ...authorityFaults(subject, noAltNames, above),
  ]
}

/** Why an imported authority cannot stand under those `above` it. */
export function importedFaults(
  certificate: ParsedCertificate,
  above: NameConstraints,
): readonly Violation[] {
  const nothing = emptyIntersections(above, certificate.nameConstraints ?? none)
  return [
    ...nothing.map((kind) => `Its permitted ${kind} have nothing in common with those above it`),
    ...authorityFaults(certificate.subjectDer, certificate.altNames, above).map(
      ({ message }) => message,
    ),
  ].map((message) => ({ field: '/certificate', message }))
}

/** Constraints as they are shown; null: there are none. */
export function constraintsView(
  constraints: NameConstraints | undefined,
): Authority['nameConstraints'] {
  if (!constraints) return null
  const { permitted, excluded } = constraints
  return {
    ...(isEmpty(permitted) ? {} : { permitted: sideView(permitted) }),
    ...(isEmpty(excluded) ? {} : { excluded: sideView(excluded) }),
  }
}

function sideView(side: Subtrees) {
  const texts = spaceKinds.flatMap((kind) => (side[kind].length > 0 ? [[kind, side[kind]]] : []))
  const names = side.directoryNames.map((der) => formatName(readName(der)))
  return Object.fromEntries(names.length > 0 ? [...texts, ['directoryNames', names]] : texts)
}

function readAsked(request: RequestedConstraints | undefined): NameConstraints {
  return {
    permitted: { ...noSubtrees, ...request?.permitted },
    excluded: { ...noSubtrees, ...request?.excluded },
  }
}

function orNone(constraints: NameConstraints): NameConstraints | undefined {
  return isEmpty(constraints.permitted) && isEmpty(constraints.excluded) ? undefined : constraints
}

function isEmpty(side: Subtrees): boolean {
  return side.directoryNames.length === 0 && spaceKinds.every((kind) => side[kind].length === 0)
}

import { dnsNameFault } from '../names/altnames.ts'
import { rdnsOf } from '../names/distinguished.ts'
import { commonRange, inRange, ipBytes, rangeBytes } from '../names/ip.ts'
import type { NameFault } from './faults.ts'
import type { NameConstraints, Subtrees } from './subtrees.ts'

/** The kinds of space that are text. */
export const spaceKinds = ['dnsNames', 'ipRanges', 'emailAddresses', 'uriHosts'] as const
type Kind = (typeof spaceKinds)[number]

/** The names that an authority with its `own` constraints may certify under one with those `above`: both
 *  permit them and neither excludes them. The certificate then states all of it. That matters because
 *  a verifier whose trust anchor is the lower authority never sees the upper one's constraints
 *  (RFC 5280 6.1.4 (g)). Ask `wideningFaults` or `emptyIntersections` first: an empty list of
 *  permitted names would permit all names. */
export function intersection(above: NameConstraints, own: NameConstraints): NameConstraints {
  const permitted = (kind: Kind) =>
    intersect(above.permitted[kind], own.permitted[kind], common[kind])
  const excluded = (kind: Kind) => [...new Set([...above.excluded[kind], ...own.excluded[kind]])]
  return {
    permitted: {
      ...textual(permitted),
      directoryNames: intersect(
        above.permitted.directoryNames,
        own.permitted.directoryNames,
        smaller(directoryInside),
      ),
    },
    excluded: {
      ...textual(excluded),
      directoryNames: [...above.excluded.directoryNames, ...own.excluded.directoryNames],
    },
  }
}

function textual(spaces: (kind: Kind) => readonly string[]) {
  return {
    dnsNames: spaces('dnsNames'),
    ipRanges: spaces('ipRanges'),
    emailAddresses: spaces('emailAddresses'),
    uriHosts: spaces('uriHosts'),
  }
}

function intersect<T>(
  above: readonly T[],
  own: readonly T[],
  inCommon: (space: T, other: T) => T | undefined,
): readonly T[] {
  if (above.length === 0 || own.length === 0) return above.length === 0 ? own : above
  return [...new Set(own.flatMap((one) => above.flatMap((other) => inCommon(one, other) ?? [])))]
}

/** The intersection of two trees: the smaller one if it lies within the other, or nothing. */
function smaller<T>(within: (space: T, other: T) => boolean) {
  return (one: T, other: T): T | undefined =>
    within(one, other) ? one : within(other, one) ? other : undefined
}

/** The permitted spaces of `own` that reach beyond those `above`; fields are JSON Pointers into `own`. */
export function wideningFaults(above: NameConstraints, own: NameConstraints): readonly NameFault[] {
  return spaceKinds.flatMap((kind) => {
    const limits = above.permitted[kind]
    if (limits.length === 0) return []
    return own.permitted[kind].flatMap((space, i) =>
      limits.some((limit) => inside[kind](space, limit))
        ? []
        : [
            {
              field: `/permitted/${kind}/${i}`,
              message: `${space} reaches beyond ${limits.join(', ')}, which is all that the authorities above may certify`,
            },
          ],
    )
  })
}

/** The kinds of names that `own` permits, but none of which `above` permits too. */
export function emptyIntersections(
  above: NameConstraints,
  own: NameConstraints,
): readonly string[] {
  const both = intersection(above, own).permitted
  const kinds: readonly (keyof Subtrees)[] = [...spaceKinds, 'directoryNames']
  return kinds.filter((kind) => own.permitted[kind].length > 0 && both[kind].length === 0)
}

/** What is wrong with spaces as texts; fields are JSON Pointers into `constraints`. */
export function spaceFaults(constraints: NameConstraints): readonly NameFault[] {
  return (['permitted', 'excluded'] as const).flatMap((side) =>
    spaceKinds.flatMap((kind) =>
      constraints[side][kind].flatMap((space, i) => {
        const message = spaceFault[kind](space)
        return message === undefined ? [] : [{ field: `/${side}/${kind}/${i}`, message }]
      }),
    ),
  )
}

/** Spaces in what others wrote that not every verifier reads alike, or that cannot be written again: a
 *  wildcard, a dot at the end, a URL where a host belongs, a mailbox that needs quotes. */
export function strangeSpaces({ permitted, excluded }: NameConstraints): readonly string[] {
  return [permitted, excluded].flatMap((side) =>
    spaceKinds.flatMap((kind) => side[kind].filter((space) => !plain[kind](space))),
  )
}

const host = /^(\.?[\w-]+(\.[\w-]+)*)?$/
const mailbox = /^([\w!#$%&'*+/=?^`{|}~.-]+@[\w-]+(\.[\w-]+)*)?$/

const plain: Readonly<Record<Kind, (space: string) => boolean>> = {
  dnsNames: (space) => host.test(space),
  ipRanges: () => true,
  emailAddresses: (space) => (space.includes('@') ? mailbox : host).test(space),
  uriHosts: (space) => host.test(space) && ipBytes(space) === undefined,
}

type Fault = string | undefined

const spaceFault: Readonly<Record<Kind, (space: string) => Fault>> = {
  // RFC 5280 4.2.1.10: a host holds all below it; the leading dot is for mail and URIs alone.
  dnsNames: hostFault,
  // By its prefix only: some verifiers refuse a certificate that has a mask with holes.
  ipRanges: (space) =>
    /\/\d+$/.test(space) && rangeBytes(space)
      ? undefined
      : `${JSON.stringify(space)} is not a range such as 10.0.0.0/8`,
  emailAddresses: (space) => domainFault(space.slice(space.lastIndexOf('@') + 1)),
  uriHosts: domainFault,
}

function domainFault(space: string): Fault {
  return hostFault(space.startsWith('.') ? space.slice(1) : space)
}

function hostFault(host: string): Fault {
  return host.includes('*')
    ? `${JSON.stringify(host)}: leave the wildcard out, a domain holds all below it`
    : dnsNameFault(host)
}

const inside: Readonly<Record<Kind, (space: string, other: string) => boolean>> = {
  dnsNames: hostTreeInside,
  ipRanges: rangeInside,
  emailAddresses: mailInside,
  uriHosts: hostInside,
}

const common: Readonly<Record<Kind, (one: string, other: string) => string | undefined>> = {
  dnsNames: smaller(hostTreeInside),
  ipRanges: commonRange,
  emailAddresses: smaller(mailInside),
  uriHosts: smaller(hostInside),
}

/** DNS: `example.com` holds itself and all below; with a leading dot only what is below. */
function hostTreeInside(space: string, other: string): boolean {
  const [one, limit] = [space.toLowerCase(), other.toLowerCase()]
  if (limit === '' || one === limit) return true
  const base = limit.replace(/^\./, '')
  return one.replace(/^\./, '') === base ? !limit.startsWith('.') : one.endsWith(`.${base}`)
}

function rangeInside(space: string, other: string): boolean {
  const [one, limit] = [rangeBytes(space), rangeBytes(other)]
  if (!one || !limit || one.length !== limit.length) return false
  const half = one.length / 2
  const narrower = limit.subarray(half).every((mask, i) => (mask & ~(one[half + i] ?? 0)) === 0)
  return narrower && inRange(one.subarray(0, half), limit)
}

/** Mail: `user@host` is one mailbox, `host` all of that host, `.domain` all hosts below. */
function mailInside(space: string, other: string): boolean {
  if (other.includes('@')) return space === other
  return hostInside(space.slice(space.lastIndexOf('@') + 1), other)
}

/** URIs: `host` is that host alone, `.domain` all hosts below. */
function hostInside(space: string, other: string): boolean {
  const [one, limit] = [space.toLowerCase(), other.toLowerCase()]
  if (limit === '' || one === limit) return true
  return limit.startsWith('.') && one.endsWith(limit)
}

/** A directory name lies inside another when it begins with its RDNs. */
function directoryInside(space: Buffer, other: Buffer): boolean {
  const rdns = rdnsOf(space)
  return rdnsOf(other).every((rdn, i) => rdn === rdns[i])
}

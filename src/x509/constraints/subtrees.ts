import { context, type Element, malformed, readDer, sequence } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, encodedOf, sequenceOf } from '../der/fields.ts'
import { distinguishedNameOf } from '../names/distinguished.ts'
import { generalNameOf, generalTags, ia5Name, ia5Of, ipName } from '../names/generalnames.ts'
import { rangeBytes, rangeText } from '../names/ip.ts'

/** Spaces of names (RFC 5280 4.2.1.10): `example.com`, `10.0.0.0/8`, mail `host`, `.domain` or
 *  `user@host`, URI `host` or `.domain`, and directory names as Name DER (see `encodeName`). */
export type Subtrees = {
  readonly dnsNames: readonly string[]
  readonly ipRanges: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uriHosts: readonly string[]
  readonly directoryNames: readonly Buffer[]
}

/** What an authority may certify; a kind without a permitted space is free unless excluded. */
export type NameConstraints = {
  readonly permitted: Subtrees
  readonly excluded: Subtrees
  /** Kinds of names that are constrained as well, and that nothing here judges. */
  readonly otherKinds?: readonly string[]
}

/** No space of any kind. */
export const noSubtrees: Subtrees = {
  dnsNames: [],
  ipRanges: [],
  emailAddresses: [],
  uriHosts: [],
  directoryNames: [],
}

/** NameConstraints in DER; an empty side is left out. Throws `altname-invalid` for a bad range or
 *  text that is not ASCII, and when both sides are empty. */
export function encodeConstraints({ permitted, excluded }: NameConstraints): Buffer {
  const sides = [encodeSubtrees(permitted), encodeSubtrees(excluded)]
  const written = sides.flatMap((side, tag) => (side.length > 0 ? [context(tag, ...side)] : []))
  if (written.length === 0)
    throw new X509Error('altname-invalid', 'Name constraints must permit or exclude something')
  return sequence(...written)
}

function encodeSubtrees(trees: Subtrees): readonly Buffer[] {
  return [
    ...trees.dnsNames.map((name) => ia5Name('dns', ascii(name))),
    ...trees.ipRanges.map((text) => ipName(range(text))),
    ...trees.emailAddresses.map((mail) => ia5Name('email', ascii(mail))),
    ...trees.uriHosts.map((host) => ia5Name('uri', ascii(host))),
    ...trees.directoryNames.map((name) => context(generalTags.directory, name)),
  ].map((base) => sequence(base))
}

function ascii(text: string): string {
  if (/^[\x21-\x7e]*$/.test(text)) return text
  throw new X509Error('altname-invalid', `${JSON.stringify(text)} is not plain ASCII`)
}

function range(text: string): Buffer {
  const bytes = rangeBytes(text)
  if (bytes) return bytes
  throw new X509Error('altname-invalid', `${text} is not a range such as 10.0.0.0/8`)
}

/** Reads NameConstraints from DER. */
export function readConstraints(der: Buffer): NameConstraints {
  const found = { permitted: noSubtrees, excluded: noSubtrees }
  const others = new Set<string>()
  const [first, second, ...more] = sequenceOf(readDer(der), 'nameConstraints')
  const permitted = first?.tag === 0xa0 ? first : undefined
  const excluded = permitted ? second : first
  if (more.length > 0 || (!permitted && second) || (excluded && excluded.tag !== 0xa1))
    throw malformed('nameConstraints have one permitted and one excluded part, in this order')
  if (!permitted && !excluded) throw malformed('empty nameConstraints')
  if (permitted) found.permitted = subtreesOf(permitted, others)
  if (excluded) found.excluded = subtreesOf(excluded, others)
  return others.size > 0 ? { ...found, otherKinds: [...others] } : found
}

function subtreesOf(side: Element, others: Set<string>): Subtrees {
  const found: {
    readonly [kind in Exclude<keyof Subtrees, 'directoryNames'>]: string[]
  } & { readonly directoryNames: Buffer[] } = {
    dnsNames: [],
    ipRanges: [],
    emailAddresses: [],
    uriHosts: [],
    directoryNames: [],
  }
  // SIZE (1..MAX): some verifiers take an empty part for nothing at all, others refuse it.
  if (side.children.length === 0) throw malformed('an empty part of nameConstraints')
  for (const subtree of side.children) {
    const [base, ...bounds] = sequenceOf(subtree, 'a name constraint')
    // RFC 5280 4.2.1.10: minimum is 0 and so absent, maximum is absent.
    if (base === undefined || bounds.length > 0) throw malformed('a bounded name constraint')
    if (base.tag === 0x81) found.emailAddresses.push(ia5Of(base))
    else if (base.tag === 0x82) found.dnsNames.push(ia5Of(base))
    else if (base.tag === 0x86) found.uriHosts.push(ia5Of(base))
    else if (base.tag === 0x87) found.ipRanges.push(rangeOf(contentsOf(base)))
    else if (base.tag === 0xa4) found.directoryNames.push(directoryOf(base))
    else others.add(otherKindOf(base))
  }
  return found
}

function directoryOf(base: Element): Buffer {
  const [name, ...more] = base.children
  if (name === undefined || more.length > 0) throw malformed('a directory name')
  // Read here, so that whoever shows it or compares with it need not fear it.
  distinguishedNameOf(name)
  return encodedOf(name)
}

function otherKindOf(base: Element): string {
  const name = generalNameOf(base)
  return name.kind === 'other' ? name.value : name.kind
}

function rangeOf(contents: Buffer): string {
  const text = rangeText(contents)
  if (text === undefined) throw malformed('an IP range in nameConstraints')
  return text
}

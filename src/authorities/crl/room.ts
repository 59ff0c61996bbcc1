/** What Kubernetes holds all values of a Secret to, in octets. */
export const secretRoom = 1_048_576

/** What lists may fill of it: the rest is for the certificates that are trusted. */
export const listRoom = secretRoom - 16_384

/** From how much of the room on it is said. */
export const nearShare = 0.7

/** How long `der` octets are as a PEM block of a list (RFC 7468 2). */
export function pemOctets(der: number): number {
  const base64 = 4 * Math.ceil(der / 3)
  return base64 + Math.ceil(base64 / 64) + pemFrame
}

const pemFrame = '-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n'.length

/** Whether a list of so many octets of DER is near what a Secret has room for, or over it. */
export function alarmOf(der: number): 'near' | 'over' | null {
  const octets = pemOctets(der)
  if (octets > listRoom) return 'over'
  return octets > nearShare * listRoom ? 'near' : null
}

/** What a gateway is given for one key: its lists as they are; earlier ones, of when they fitted; or one
 *  by which every client of the key is refused. */
export type Given = 'whole' | 'earlier' | 'refused'

/** The lists of one key, in octets of PEM; `earlier`: of those that a Secret had room for, if they may be
 *  given in their place. */
export type SizedKey = { readonly whole: number; readonly earlier?: number | undefined }

/** What is given for each of these keys, so that all of it has room: the longest give way first. `refusal`
 *  is the length of what stands for a key whose clients are refused. */
export function fitting(
  keys: readonly SizedKey[],
  { room, refusal }: { readonly room: number; readonly refusal: number },
): readonly Given[] {
  const given: Choice[] = keys.map((key) => ({ key, as: 'whole' }))
  for (;;) {
    const sized = given.map(({ key, as }) => octetsOf(key, as, refusal))
    if (sized.reduce((sum, each) => sum + each, 0) <= room) return given.map(({ as }) => as)
    const longest = sized.indexOf(Math.max(...sized))
    const found = given[longest]
    // Refusals alone are more than there is room for: nothing shorter can be said.
    if (!found || given.every(({ as }) => as === 'refused')) return given.map(({ as }) => as)
    found.as = nextOf(found)
  }
}

type Choice = { readonly key: SizedKey; as: Given }

function octetsOf({ whole, earlier = whole }: SizedKey, as: Given, refusal: number): number {
  if (as === 'refused') return refusal
  return as === 'earlier' ? earlier : whole
}

function nextOf({ key: { whole, earlier }, as }: Choice): Given {
  return as === 'whole' && earlier !== undefined && earlier < whole ? 'earlier' : 'refused'
}

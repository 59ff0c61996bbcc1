import { X509Error } from './errors.ts'

/** How much PEM text is looked at: characters in all, and blocks. */
export type PemLimits = { readonly bytes: number; readonly blocks: number }

/** Room for a long chain or a trust bundle; anything more is a mistake or an attack. */
const pemLimits: PemLimits = { bytes: 1 << 20, blocks: 512 }

/** One PEM block: 64 characters to a line, LF (RFC 7468 3). */
export function toPem(label: string, der: Buffer): string {
  const base64 = der.toString('base64')
  let lines = ''
  for (let at = 0; at < base64.length; at += 64) lines += `${base64.slice(at, at + 64)}\n`
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`
}

const begin = '-----BEGIN '
const dashes = '-----'

/** One block as it stands in a text. */
export type PemBlock = {
  /** In its one spelling: X509 CERTIFICATE is a CERTIFICATE. */
  readonly label: string
  /** What stands before the base64, as old encrypted keys have it (RFC 1421 4.6); else empty. */
  readonly headers: string
  /** Between the lines of BEGIN and END, without the headers. */
  readonly base64: string
}

/** What tools of before call the same (RFC 7468 5.1, 7). */
const spellings: Readonly<Record<string, string>> = {
  'X509 CERTIFICATE': 'CERTIFICATE',
  'NEW CERTIFICATE REQUEST': 'CERTIFICATE REQUEST',
}

/** The contents of each block, in order; of those with `label`, when given. Text between blocks, CRLF, a
 *  byte order mark and indented lines are fine (RFC 7468 2, 5.2). Throws `pem-too-large` before looking,
 *  `pem-malformed` for a broken block, or when there is none. */
export function readPem(text: string, label?: string, limits: PemLimits = pemLimits): Buffer[] {
  const blocks = pemBlocks(text, limits)
    .filter((one) => label === undefined || one.label === label)
    .map(contentsOfBlock)
  if (blocks.length === 0) throw broken(`There is no ${label ?? 'PEM'} block in the text`)
  return blocks
}

/** Every block of a text, in order, whatever it is and not looked into. Throws as readPem does. */
export function pemBlocks(text: string, limits: PemLimits = pemLimits): PemBlock[] {
  if (text.length > limits.bytes)
    throw new X509Error('pem-too-large', `Send at most ${limits.bytes} bytes of PEM`)
  const blocks: PemBlock[] = []
  for (let at = blockStart(text, 0); at >= 0; ) {
    if (blocks.length === limits.blocks)
      throw new X509Error('pem-too-large', `Send at most ${limits.blocks} PEM blocks`)
    const { block, end } = blockAt(text, at)
    blocks.push(block)
    at = blockStart(text, end)
  }
  return blocks
}

/** The octets of a block. Throws `pem-malformed` for what is no base64, or has headers. */
export function contentsOfBlock({ label, headers, base64 }: PemBlock): Buffer {
  if (headers !== '') throw broken(`The ${label} block has headers`)
  return octetsOfBlock({ label, base64 })
}

/** The same of one that may have headers. */
export function octetsOfBlock({ label, base64 }: Omit<PemBlock, 'headers'>): Buffer {
  const bare = base64.replace(/[\s\ufeff]+/g, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(bare) || bare.length % 4 !== 0)
    throw broken(`The ${label} block is not base64`)
  return Buffer.from(bare, 'base64')
}

/** BEGIN counts only at the start of a line, or after what is not seen there. */
function blockStart(text: string, from: number): number {
  for (let at = text.indexOf(begin, from); at >= 0; at = text.indexOf(begin, at + 1)) {
    let before = at - 1
    while (before >= 0 && unseen.has(text[before] ?? '')) before--
    if (before < 0 || text[before] === '\n' || text[before] === '\r') return at
  }
  return -1
}

const unseen: ReadonlySet<string> = new Set([' ', '\t', '\ufeff'])

function blockAt(text: string, at: number): { readonly block: PemBlock; readonly end: number } {
  const labelEnd = text.indexOf(dashes, at + begin.length)
  const found = labelEnd < 0 ? '' : text.slice(at + begin.length, labelEnd)
  if (!/^[A-Z0-9][A-Z0-9 .#]{0,63}$/.test(found)) throw broken('A BEGIN line has no proper label')
  const close = `-----END ${found}-----`
  const end = text.indexOf(close, labelEnd)
  if (end < 0) throw broken(`The ${found} block has no END line`)
  const inside = text.slice(labelEnd + dashes.length, end)
  // Base64 has no colon, and headers end with an empty line.
  const parts = inside.includes(':') ? /\r?\n[ \t]*\r?\n/.exec(inside) : null
  const headers = parts ? inside.slice(0, parts.index) : ''
  const base64 = parts ? inside.slice(parts.index) : inside
  return { block: { label: spellings[found] ?? found, headers, base64 }, end: end + close.length }
}

function broken(what: string): X509Error {
  return new X509Error('pem-malformed', `${what}; send the file as it was written`)
}

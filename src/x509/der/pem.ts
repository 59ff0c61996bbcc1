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

/** The contents of each block, in order; of those with `label`, when given. Text between blocks and
 *  CRLF are fine (RFC 7468 2, 5.2). Throws `pem-too-large` before looking, `pem-malformed` for a
 *  broken block, or when there is none. */
export function readPem(text: string, label?: string, limits: PemLimits = pemLimits): Buffer[] {
  if (text.length > limits.bytes)
    throw new X509Error('pem-too-large', `Send at most ${limits.bytes} bytes of PEM`)
  const blocks: Buffer[] = []
  let seen = 0
  for (let at = blockStart(text, 0); at >= 0; ) {
    if (++seen > limits.blocks)
      throw new X509Error('pem-too-large', `Send at most ${limits.blocks} PEM blocks`)
    const { found, contents, end } = block(text, at)
    if (label === undefined || found === label) blocks.push(contents)
    at = blockStart(text, end)
  }
  if (blocks.length === 0) throw broken(`There is no ${label ?? 'PEM'} block in the text`)
  return blocks
}

/** BEGIN counts only at the start of a line. */
function blockStart(text: string, from: number): number {
  for (let at = text.indexOf(begin, from); at >= 0; at = text.indexOf(begin, at + 1))
    if (at === 0 || text[at - 1] === '\n' || text[at - 1] === '\r') return at
  return -1
}

function block(text: string, at: number) {
  const labelEnd = text.indexOf(dashes, at + begin.length)
  const found = labelEnd < 0 ? '' : text.slice(at + begin.length, labelEnd)
  if (!/^[A-Z0-9][A-Z0-9 .#]{0,63}$/.test(found)) throw broken('A BEGIN line has no proper label')
  const close = `-----END ${found}-----`
  const end = text.indexOf(close, labelEnd)
  if (end < 0) throw broken(`The ${found} block has no END line`)
  const base64 = text.slice(labelEnd + dashes.length, end).replace(/[\t\n\r ]+/g, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0)
    throw broken(`The ${found} block is not base64`)
  return { found, contents: Buffer.from(base64, 'base64'), end: end + close.length }
}

function broken(what: string): X509Error {
  return new X509Error('pem-malformed', `${what}; send the file as it was written`)
}

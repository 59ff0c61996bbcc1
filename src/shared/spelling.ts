import { domainToASCII } from 'node:url'

/** Characters that nobody sees: default-ignorable ones and those that only format (zero-width letters,
 *  soft hyphens, marks of direction), and the one pattern of Braille that has no dots. */
const unseen = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]/gu

/** Text in the one form in which texts are compared: what looks alike by Unicode's own rules is alike
 *  (NFKC), what nobody sees is gone, case is folded and spaces are one (RFC 5280 7.1, RFC 4518 2). For
 *  comparing only: what is stored and certified stays as it was written. */
export function folded(text: string): string {
  const plain = /^[\x20-\x7e]*$/.test(text)
    ? text.toLowerCase()
    : text.normalize('NFKC').replace(unseen, '').toLowerCase().normalize('NFKC')
  return plain.trim().replace(/\s+/g, ' ')
}

/** Whether text holds characters that nobody sees. */
export function hidesCharacters(text: string): boolean {
  return text.search(unseen) >= 0
}

/** Alphabets with letters that look like those of another. */
const alphabets = ['Latin', 'Cyrillic', 'Greek', 'Coptic', 'Armenian', 'Cherokee', 'Lisu'].map(
  (script) => new RegExp(`\\p{Script=${script}}`, 'u'),
)

/** Whether a word in the text has letters of several such alphabets (UTS 39 5.2): Latin beside Han or
 *  Hangul is how people write, Latin beside Cyrillic is how they are deceived. */
export function mixesAlphabets(text: string): boolean {
  if (/^[\x20-\x7e]*$/.test(text)) return false
  const words = text.normalize('NFC').split(/[^\p{L}\p{M}]+/u)
  return words.some((word) => alphabets.filter((one) => one.test(word)).length > 1)
}

/** The one spelling of a host name: lower case, A-labels (RFC 5891 4), no trailing dot. What is no host
 *  name comes out as some other text that is none either; src/x509/names/altnames.ts says why. Unicode's rules
 *  for host names (UTS 46) are those of the URL, which keep the joiners that some scripts need. */
export function hostSpelling(text: string): string {
  const name = text
    .trim()
    .toLowerCase()
    .replace(/[\u3002\uff0e\uff61]/g, '.')
    .replace(/\.$/, '')
  // The URL rules would read 0x7f.1 as an address, so plain ASCII stays as it is.
  if (/^[\x21-\x7e]*$/.test(name)) return name
  const wildcard = name.startsWith('*.') ? '*.' : ''
  const rest = name.slice(wildcard.length)
  return `${wildcard}${domainToASCII(rest) || rest}`
}

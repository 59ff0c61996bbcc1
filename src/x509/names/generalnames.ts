import { contextPrimitive, type Element, malformed } from '../der/encoding.ts'
import { contentsOf } from '../der/fields.ts'
import { distinguishedNameOf, type Name } from './distinguished.ts'
import { ipText } from './ip.ts'

/** One GeneralName as read (RFC 5280 4.2.1.6). `other` holds the kinds we do not use. */
export type GeneralName =
  | { readonly kind: 'dns' | 'email' | 'uri'; readonly value: string }
  | { readonly kind: 'ip'; readonly value: string; readonly bytes: Buffer }
  | { readonly kind: 'directory'; readonly value: Name }
  | { readonly kind: 'other'; readonly value: string }

/** The IMPLICIT tags of the string kinds. */
export const generalTags = { email: 1, dns: 2, directory: 4, uri: 6, ip: 7 } as const

/** A GeneralName holding text of IA5String. */
export function ia5Name(kind: 'dns' | 'email' | 'uri', value: string): Buffer {
  return contextPrimitive(generalTags[kind], Buffer.from(value, 'latin1'))
}

/** A GeneralName holding octets: an address, or an address and mask. */
export function ipName(bytes: Buffer): Buffer {
  return contextPrimitive(generalTags.ip, bytes)
}

/** Reads one GeneralName; an IP of a wrong length is `der-malformed`. */
export function generalNameOf(element: Element): GeneralName {
  switch (element.tag) {
    case 0x81:
      return { kind: 'email', value: ia5Of(element) }
    case 0x82:
      return { kind: 'dns', value: ia5Of(element) }
    case 0x86:
      return { kind: 'uri', value: ia5Of(element) }
    case 0x87: {
      const bytes = contentsOf(element)
      const value = ipText(bytes)
      if (value === undefined) throw malformed('an IP address of neither 4 nor 16 octets')
      return { kind: 'ip', value, bytes }
    }
    case 0xa4:
      if (element.children.length !== 1) throw malformed('a directory name')
      return { kind: 'directory', value: distinguishedNameOf(element.children[0]) }
    case 0xa0:
    case 0xa3:
    case 0xa5:
    case 0x88:
      return { kind: 'other', value: otherKinds[element.tag] ?? 'unknown' }
    default:
      throw malformed('a GeneralName of an unknown kind')
  }
}

const otherKinds: Readonly<Record<number, string>> = {
  160: 'otherName',
  163: 'x400Address',
  165: 'ediPartyName',
  136: 'registeredID',
}

/** The text of an IA5String; an octet above 7F is `der-malformed`. */
export function ia5Of(element: Element): string {
  const text = element.der.toString('latin1', element.body, element.end)
  if (/[^\0-\x7f]/.test(text)) throw malformed('an IA5String above 7F')
  return text
}

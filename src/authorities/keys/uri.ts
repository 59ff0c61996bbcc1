/** Where a key is in a token, by the names that RFC 7512 gives it. */
export type KeyUri = {
  readonly token?: string
  readonly object?: string
  readonly id?: Buffer
}

const reserved = /[^A-Za-z0-9\-._~]/g

/** The URI of a private key (RFC 7512 2.3). */
export function formatKeyUri({ token, object, id }: KeyUri): string {
  const text = (name: string, value: string | undefined) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value).replace(reserved, escaped)}`]
  const octets = id ? [`id=${[...id].map((octet) => percent(octet)).join('')}`] : []
  return `pkcs11:${[...text('token', token), ...text('object', object), ...octets, 'type=private'].join(';')}`
}

/** encodeURIComponent leaves some characters that RFC 7512 does not have in a path. */
function escaped(character: string): string {
  return character === '%' ? character : percent(character.charCodeAt(0))
}

function percent(octet: number): string {
  return `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
}

/** Reads a URI of RFC 7512; a sentence about what is wrong with it otherwise. Only what names a key is
 *  taken: the module and the PIN are settings, and a PIN in a request would be a secret in a log. */
export function readKeyUri(uri: string): KeyUri | string {
  if (!uri.startsWith('pkcs11:')) return 'It does not begin with pkcs11:'
  if (uri.includes('?')) return 'Leave out what follows the ?: the module and the PIN are settings'
  const found: { token?: string; object?: string; id?: Buffer } = {}
  for (const part of uri.slice('pkcs11:'.length).split(';')) {
    const [name = '', value = '', ...more] = part.split('=')
    const octets = more.length > 0 ? undefined : unescaped(value)
    if (octets === undefined) return `${part.slice(0, 80)} is not name=value with %XX escapes`
    if (name === 'token' || name === 'object') found[name] = octets.toString('utf8')
    else if (name === 'id') found.id = octets
    else if (name !== 'type' || value !== 'private') {
      return `${part.slice(0, 80)} is not token, object, id or type=private`
    }
  }
  if (found.object === undefined && found.id === undefined) return 'It names no key: object or id'
  return found
}

function unescaped(value: string): Buffer | undefined {
  if (!/^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,&]|%[0-9A-Fa-f]{2})*$/.test(value)) return undefined
  const octets = value.replace(/%(..)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(octets, 'latin1')
}

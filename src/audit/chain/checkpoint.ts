import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

/** What a checkpoint says: how many links there are, and the root of their tree. */
export type Checkpoint = { readonly origin: string; readonly size: bigint; readonly root: Buffer }

/** Who signs a log's checkpoints, Ed25519. */
export type LogKey = { readonly origin: string; readonly publicKey: Buffer }

/** A checkpoint as a signed note (C2SP tlog-checkpoint and signed-note). */
export function signCheckpoint(checkpoint: Checkpoint, key: LogKey, privateKey: KeyObject): string {
  const text = textOf(checkpoint)
  const signature = Buffer.concat([keyId(key), sign(null, Buffer.from(text), privateKey)])
  return `${text}\n— ${key.origin} ${signature.toString('base64')}\n`
}

/** The checkpoint of a note that this key has signed; undefined for anything else. */
export function readCheckpoint(note: string, key: LogKey): Checkpoint | undefined {
  const end = note.lastIndexOf('\n\n')
  const text = note.slice(0, end + 1)
  const [origin = '', size = '', root = ''] = text.split('\n')
  if (end < 0 || origin !== key.origin || !/^(0|[1-9]\d{0,18})$/.test(size)) return undefined
  const signed = note
    .slice(end + 2)
    .split('\n')
    .some((line) => isSignature(line, text, key))
  return signed ? { origin, size: BigInt(size), root: Buffer.from(root, 'base64') } : undefined
}

/** The key in the one line that verifiers of notes take. */
export function verifierKey(key: LogKey): string {
  const typed = Buffer.concat([Buffer.of(1), key.publicKey])
  return `${key.origin}+${keyId(key).toString('hex')}+${typed.toString('base64')}`
}

/** The key of such a line; undefined for anything else. */
export function readVerifierKey(line: string): LogKey | undefined {
  const [, origin = '', id, typed = ''] = /^(\S+?)\+([0-9a-f]{8})\+(\S+)$/.exec(line.trim()) ?? []
  const octets = Buffer.from(typed, 'base64')
  const key = { origin, publicKey: octets.subarray(1) }
  const whole = octets.length === 33 && octets[0] === 1 && keyId(key).toString('hex') === id
  return whole ? key : undefined
}

function textOf({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`
}

function keyId({ origin, publicKey }: LogKey): Buffer {
  return createHash('sha256')
    .update(`${origin}\n`)
    .update(Buffer.of(1))
    .update(publicKey)
    .digest()
    .subarray(0, 4)
}

function isSignature(line: string, text: string, key: LogKey): boolean {
  const found = /^— (\S+) (\S+)$/.exec(line)
  const octets = Buffer.from(found?.[2] ?? '', 'base64')
  if (found?.[1] !== key.origin || octets.length !== 68) return false
  if (!octets.subarray(0, 4).equals(keyId(key))) return false
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.publicKey.toString('base64url') }
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
  return verify(null, Buffer.from(text), publicKey, octets.subarray(4))
}

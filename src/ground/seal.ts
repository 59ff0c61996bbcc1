import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'

/** Secrets at rest: envelope encryption with AES-256-GCM (NIST SP 800-38D). Each secret has a data key
 *  of its own, wrapped by the key encryption key; both layers are bound to the row that holds them, so
 *  a sealed value moved to another row does not open.
 *
 *  version(1) kekId(8) | nonce(12) wrappedKey(32) tag(16) | nonce(12) ciphertext tag(16) */
export type Seal = {
  /** Seals `secret` for the row named by `binding`, for example `certificate_secret/<id>`, under the
   *  current key. */
  readonly seal: (binding: string, secret: Buffer) => Buffer
  /** Opens what `seal` made for the same binding, also under a former key; throws when the key is not
   *  given, or the row or a bit differs. */
  readonly open: (binding: string, sealed: Buffer) => Buffer
  /** The same secret with its data key wrapped by the current key; its ciphertext is not touched.
   *  Throws as `open` does. */
  readonly rewrap: (binding: string, sealed: Buffer) => Buffer
  /** What everything sealed under the current key begins with. */
  readonly mark: Buffer
}

const version = 1
const header = 9
const wrapped = header + 60

/** A seal under the key encryption key `current`, of 32 octets, that opens what is under `former` ones
 *  as well. */
export function sealWith(current: Buffer, former: readonly Buffer[] = []): Seal {
  const keys = new Map([...former, current].map((kek) => [markOf(kek).toString('hex'), kek]))
  const mark = markOf(current)

  function unwrap(binding: string, sealed: Buffer): Buffer {
    const kek = keys.get(sealed.subarray(0, header).toString('hex'))
    if (!kek) {
      throw new Error(
        `${binding} is sealed under the key ${keyIdOf(sealed)}, which is not among those given; add that key to GATESMITH_SEALING_KEYS_FORMER`,
      )
    }
    return decrypt(kek, sealed.subarray(header, wrapped), `${binding}\0key`)
  }

  return {
    mark,
    seal(binding, secret) {
      const dataKey = randomBytes(32)
      return Buffer.concat([
        mark,
        encrypt(current, dataKey, `${binding}\0key`),
        encrypt(dataKey, secret, binding),
      ])
    },
    open(binding, sealed) {
      return decrypt(unwrap(binding, sealed), sealed.subarray(wrapped), binding)
    },
    rewrap(binding, sealed) {
      const dataKey = unwrap(binding, sealed)
      const again = encrypt(current, dataKey, `${binding}\0key`)
      return Buffer.concat([mark, again, sealed.subarray(wrapped)])
    },
  }
}

/** Which key something is sealed under: a digest that does not tell the key. */
export function keyIdOf(sealed: Buffer): string {
  return sealed.subarray(1, header).toString('hex')
}

function markOf(kek: Buffer): Buffer {
  const kekId = createHash('sha256')
    .update('gatesmith kek id\0')
    .update(kek)
    .digest()
    .subarray(0, 8)
  return Buffer.concat([Buffer.of(version), kekId])
}

function encrypt(key: Buffer, plain: Buffer, binding: string): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(binding))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function decrypt(key: Buffer, sealed: Buffer, binding: string): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), {
    authTagLength: 16,
  }).setAAD(Buffer.from(binding))
  decipher.setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
}

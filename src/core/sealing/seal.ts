import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'

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
  /** Whether the key that something is sealed under is among those given; the first octets will do. */
  readonly knows: (sealed: Buffer) => boolean
  /** What everything sealed under the current key begins with. */
  readonly mark: Buffer
}

const version = 1
const header = 9
const wrapped = header + 60

/** A seal under the key encryption key `current`, of 32 octets, that opens what is under `former` ones
 *  as well. */
export function sealWith(current: Buffer, former: readonly Buffer[] = []): Seal {
  // As objects made once: reading a key out of octets takes longer than encrypting with it.
  const keys = new Map(
    [...former, current].map((kek) => [markOf(kek).toString('hex'), createSecretKey(kek)]),
  )
  const kek = createSecretKey(current)
  const mark = markOf(current)

  function keyOf(sealed: Buffer): KeyObject | undefined {
    return keys.get(sealed.subarray(0, header).toString('hex'))
  }

  function unwrap(binding: string, sealed: Buffer): Buffer {
    const under = keyOf(sealed)
    if (!under) {
      throw new Error(
        `${binding} is sealed under the key ${keyIdOf(sealed)}, which is not among those given; add that key to GATESMITH_SEALING_KEYS_FORMER`,
      )
    }
    return decrypt(under, sealed.subarray(header, wrapped), `${binding}\0key`)
  }

  function wrap(binding: string, dataKey: Buffer, nonce: Buffer): Buffer {
    return encrypt(kek, dataKey, { nonce, binding: `${binding}\0key` })
  }

  return {
    mark,
    knows: (sealed) => keyOf(sealed) !== undefined,
    seal(binding, secret) {
      const fresh = randomBytes(56)
      const dataKey = fresh.subarray(0, 32)
      const sealed = Buffer.concat([
        mark,
        wrap(binding, dataKey, fresh.subarray(32, 44)),
        encrypt(createSecretKey(dataKey), secret, { nonce: fresh.subarray(44), binding }),
      ])
      dataKey.fill(0)
      return sealed
    },
    open(binding, sealed) {
      const dataKey = createSecretKey(unwrap(binding, sealed))
      return decrypt(dataKey, sealed.subarray(wrapped), binding)
    },
    rewrap(binding, sealed) {
      const again = wrap(binding, unwrap(binding, sealed), randomBytes(12))
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

function encrypt(
  key: KeyObject,
  plain: Buffer,
  { nonce, binding }: { nonce: Buffer; binding: string },
): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(binding))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function decrypt(key: KeyObject, sealed: Buffer, binding: string): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), {
    authTagLength: 16,
  }).setAAD(Buffer.from(binding))
  decipher.setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
}

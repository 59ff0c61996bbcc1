import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'

/** Secrets at rest: envelope encryption with AES-256-GCM (NIST SP 800-38D). Each secret has a data key
 *  of its own, wrapped by the key encryption key; both layers are bound to the row that holds them, so
 *  a sealed value moved to another row does not open.
 *
 *  version(1) kekId(8) | nonce(12) wrappedKey(32) tag(16) | nonce(12) ciphertext tag(16) */
export type Seal = {
  /** Seals `secret` for the row named by `binding`, for example `certificate_secret/<id>`. */
  readonly seal: (binding: string, secret: Buffer) => Buffer
  /** Opens what `seal` made for the same binding; throws when the key, the row or a bit differs. */
  readonly open: (binding: string, sealed: Buffer) => Buffer
}

const version = 1
const header = 9

/** A seal under one key encryption key of 32 octets. */
export function sealWith(kek: Buffer): Seal {
  const kekId = createHash('sha256')
    .update('gatesmith kek id\0')
    .update(kek)
    .digest()
    .subarray(0, 8)
  const prefix = Buffer.concat([Buffer.of(version), kekId])
  return {
    seal(binding, secret) {
      const dataKey = randomBytes(32)
      return Buffer.concat([
        prefix,
        encrypt(kek, dataKey, `${binding}\0key`),
        encrypt(dataKey, secret, binding),
      ])
    },
    open(binding, sealed) {
      if (!sealed.subarray(0, header).equals(prefix)) {
        throw new Error(`${binding} is sealed under another key encryption key`)
      }
      const dataKey = decrypt(kek, sealed.subarray(header, header + 60), `${binding}\0key`)
      return decrypt(dataKey, sealed.subarray(header + 60), binding)
    },
  }
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

import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { Seal } from './seal.ts'

/** Seals a private key as PKCS#8 for the row named by `binding`. */
export function sealPrivateKey(seal: Seal, binding: string, privateKey: KeyObject): Buffer {
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  const sealed = seal.seal(binding, pkcs8)
  pkcs8.fill(0)
  return sealed
}

/** Opens a private key that was sealed for the same binding. */
export function openPrivateKey(seal: Seal, binding: string, sealed: Uint8Array): KeyObject {
  const pkcs8 = seal.open(binding, Buffer.from(sealed))
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  pkcs8.fill(0)
  return privateKey
}

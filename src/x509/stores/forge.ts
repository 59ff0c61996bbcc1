import forge from 'node-forge'
import { malformed } from '../der/encoding.ts'

// What neither our own reader takes nor OpenSSL 3 still does: BER, RC2 and DES. Nothing that comes from here is
// believed before our own reader has read it; it runs in a thread that is ended when it takes too long.

/** The same in definite lengths: browsers, NSS and Bouncy Castle write stores in BER (X.690 8.1.3.6). Throws
 *  `der-malformed`. */
export function definite(ber: Buffer): Buffer {
  try {
    const read = forge.asn1.fromDer(ber.toString('latin1'))
    return Buffer.from(forge.asn1.toDer(read).getBytes(), 'latin1')
  } catch {
    throw malformed('it is neither DER nor BER')
  }
}

/** A cipher of before, in CBC. */
export type OldCipher = {
  readonly name: 'rc2' | 'des'
  readonly key: Buffer
  readonly iv: Buffer
}

/** The plain text, or undefined where its padding is wrong. */
export function decryptedOld({ name, key, iv }: OldCipher, octets: Buffer): Buffer | undefined {
  const keyText = key.toString('latin1')
  const cipher =
    name === 'rc2'
      ? forge.rc2.createDecryptionCipher(keyText, key.length * 8)
      : forge.cipher.createDecipher('DES-CBC', keyText)
  const input = forge.util.createBuffer(octets.toString('latin1'))
  if ('mode' in cipher) cipher.start({ iv: iv.toString('latin1') })
  else cipher.start(iv.toString('latin1'))
  cipher.update(input)
  return cipher.finish() ? Buffer.from(cipher.output.getBytes(), 'latin1') : undefined
}

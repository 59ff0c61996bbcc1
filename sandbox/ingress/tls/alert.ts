import { createCipheriv, createHmac } from 'node:crypto'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

// Node refuses a client certificate by hanging up. Envoy says why, in an alert (RFC 8446 6.2), as clients of
// the sandbox are to see it, too: so the record is made here, from the secret that Node logs for Wireshark.

const alerts = {
  'bad certificate': 42,
  'unsupported certificate': 43,
  'certificate revoked': 44,
  'certificate expired': 45,
  'certificate unknown': 46,
  'unknown ca': 48,
  'decrypt error': 51,
  'certificate required': 116,
} as const
export type Alert = keyof typeof alerts

/** What BoringSSL says of a verdict of X.509; null: that no certificate was shown. */
export function alertFor(verdict: string | null): Alert {
  if (verdict === null) return 'certificate required'
  return byVerdict.get(verdict) ?? 'certificate unknown'
}

const byVerdict: ReadonlyMap<string, Alert> = new Map([
  ['CERT_REVOKED', 'certificate revoked'],
  ['CERT_HAS_EXPIRED', 'certificate expired'],
  ['CRL_HAS_EXPIRED', 'certificate expired'],
  ['CERT_NOT_YET_VALID', 'bad certificate'],
  ['CRL_NOT_YET_VALID', 'bad certificate'],
  ['CERT_UNTRUSTED', 'bad certificate'],
  ['CERT_REJECTED', 'bad certificate'],
  ['CERT_SIGNATURE_FAILURE', 'decrypt error'],
  ['CRL_SIGNATURE_FAILURE', 'decrypt error'],
  ['INVALID_PURPOSE', 'unsupported certificate'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'unknown ca'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'unknown ca'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'unknown ca'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'unknown ca'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unknown ca'],
  ['INVALID_CA', 'unknown ca'],
  ['CERT_CHAIN_TOO_LONG', 'unknown ca'],
])

/** A line of the key log: `SERVER_TRAFFIC_SECRET_0 <client random> <secret>`. */
export function trafficSecret(line: Buffer): Buffer | undefined {
  const [label, , secret = ''] = line.toString('latin1').trim().split(' ')
  return label === 'SERVER_TRAFFIC_SECRET_0' ? Buffer.from(secret, 'hex') : undefined
}

/** Ends a TLS 1.3 connection that has just been made with this alert; `tickets`: how many records the server
 *  has sent in it so far. */
export function sendAlert(
  { secure, socket }: { readonly secure: TLSSocket; readonly socket: Socket },
  alert: Alert,
  { secret, tickets }: { readonly secret: Buffer; readonly tickets: number },
): void {
  const cipher = ciphers.get(secure.getCipher().standardName)
  if (!cipher) return void secure.destroy()
  const record = alertRecord(cipher, alerts[alert], { secret, tickets })
  // After what Node has yet to send of the handshake.
  setImmediate(() => {
    socket.write(record, () => socket.destroySoon())
  })
}

type Cipher = {
  readonly name: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305'
  readonly hash: 'sha256' | 'sha384'
  readonly key: number
}

const ciphers: ReadonlyMap<string, Cipher> = new Map([
  ['TLS_AES_128_GCM_SHA256', { name: 'aes-128-gcm', hash: 'sha256', key: 16 }],
  ['TLS_AES_256_GCM_SHA384', { name: 'aes-256-gcm', hash: 'sha384', key: 32 }],
  ['TLS_CHACHA20_POLY1305_SHA256', { name: 'chacha20-poly1305', hash: 'sha256', key: 32 }],
])

/** RFC 8446 5.2, 5.3: a fatal alert, protected. */
function alertRecord(
  { name, hash, key }: Cipher,
  description: number,
  { secret, tickets }: { readonly secret: Buffer; readonly tickets: number },
): Buffer {
  const inner = Buffer.from([2, description, 21])
  const header = Buffer.from([23, 3, 3, 0, inner.length + tagLength])
  const nonce = expand(hash, { secret, label: 'iv', length: 12 })
  nonce.writeUInt8(nonce.readUInt8(11) ^ tickets, 11)
  const options = { authTagLength: tagLength }
  const sealing =
    name === 'chacha20-poly1305'
      ? createCipheriv(name, expand(hash, { secret, label: 'key', length: key }), nonce, options)
      : createCipheriv(name, expand(hash, { secret, label: 'key', length: key }), nonce, options)
  sealing.setAAD(header, { plaintextLength: inner.length })
  const sealed = Buffer.concat([sealing.update(inner), sealing.final()])
  return Buffer.concat([header, sealed, sealing.getAuthTag()])
}

const tagLength = 16

/** HKDF-Expand-Label (RFC 8446 7.1) of no more than a hash is long. */
function expand(
  hash: Cipher['hash'],
  { secret, label, length }: { secret: Buffer; label: string; length: number },
): Buffer {
  const name = Buffer.from(`tls13 ${label}`)
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])])
  return createHmac(hash, secret).update(info).digest().subarray(0, length)
}

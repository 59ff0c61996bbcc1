import { day, hour } from '../../shared/moment.ts'

/** One list of a key. */
export type ListKey = { readonly keyId: string; readonly shard: number }

/** The list of everything that a key has revoked; the shards are numbered from 1. */
export const wholeList = 0

/** The list of the certificates of authorities that a key signed, for verifiers that want one for each CA
 *  of a chain. */
export const authorityList = -1

/** The most lists that server certificates of an authority share. From here on each tenant has a list of
 *  its own, which its client and peer certificates name (`crlShard` of the tenant): whatever it revokes
 *  makes nobody else's list longer. */
export const mostShards = 256
export const highestShard = 2 ** 31 - 1

/** A list holds for a week and is made anew every day, so that six days of trouble go unnoticed. */
export const listLifetime = 7 * day
export const refreshAfter = day

/** The shard that certificates of authorities are put into. */
export const authorityShard = 1

/** The shard, 1 to `shards`, that a server certificate of this serial (lower-case hex) is put into at issue. */
export function shardOf(serial: string, shards: number): number {
  return 1 + (Number.parseInt(serial.slice(-8), 16) % shards)
}

/** What a key is called in URLs of its lists: after a rotation, certificates of the old key still find
 *  theirs. */
export function keyLabel(spkiSha256: string): string {
  return spkiSha256.slice(0, 16)
}

/** Where a shard is published: the cRLDistributionPoints of its certificates and its own
 *  issuingDistributionPoint are this same URL (RFC 5280 4.2.1.13, 5.2.5). */
export function shardUrl(
  publicUrl: string,
  { authority, spkiSha256, shard }: { authority: string; spkiSha256: string; shard: number },
): string {
  return `${publicUrl}/pki/${authority}/crl/${keyLabel(spkiSha256)}/${shard}`
}

/** Where the certificate of a key is published, for certificates that it signed (RFC 5280 4.2.2.1): after a
 *  rotation those of the old key still find theirs. */
export function issuerUrl(
  publicUrl: string,
  { authority, spkiSha256 }: { authority: string; spkiSha256: string },
): string {
  return `${publicUrl}/pki/${authority}/ca/${keyLabel(spkiSha256)}`
}

/** Where OCSP is answered for an authority (RFC 6960 A.1). */
export function ocspUrl(publicUrl: string, authority: string): string {
  return `${publicUrl}/pki/${authority}/ocsp`
}

/** Until when a revoked certificate is listed: it must be on a list from after its end (RFC 5280 3.3).
 *  The hour is for one that was revoked in its last moments. Undefined: everything is listed. */
export function listedSince(previous: Date | undefined): Date | undefined {
  return previous && new Date(previous.getTime() - hour)
}

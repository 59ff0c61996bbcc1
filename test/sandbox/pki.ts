import { createPrivateKey, randomBytes } from 'node:crypto'
import { serialFrom } from '../../src/x509/certificates/serial.ts'
import { type CertificateProfile, toBeSigned } from '../../src/x509/certificates/template.ts'
import { encodeEntry } from '../../src/x509/crl/entry.ts'
import { buildCrl } from '../../src/x509/crl/list.ts'
import { toPem } from '../../src/x509/der/pem.ts'
import { generateKey } from '../../src/x509/keys/generate.ts'
import { type KeyAlgorithm, keyIdentifier, spkiOf } from '../../src/x509/keys/public.ts'
import { assemble, keySigner } from '../../src/x509/keys/sign.ts'
import { noAltNames } from '../../src/x509/names/altnames.ts'
import { encodeName } from '../../src/x509/names/distinguished.ts'

/** A certificate with its key, PEM, and its serial in lower-case hex. */
export type Pair = {
  readonly name: string
  readonly cert: string
  readonly key: string
  readonly serial: string
}

const day = 86_400_000

/** A root or, below `by`, an intermediate, server, client or peer certificate named by its DNS name. */
export async function issue(
  name: string,
  profile: CertificateProfile,
  by?: Pair,
  keyAlgorithm: KeyAlgorithm = 'ECDSA_P256',
): Promise<Pair> {
  const { privateKey } = await generateKey(keyAlgorithm)
  const issuerKey = by ? createPrivateKey(by.key) : privateKey
  const signer = keySigner(issuerKey)
  const now = Math.floor(Date.now() / 1000) * 1000
  const serial = serialFrom(randomBytes(16))
  const authority = profile === 'root' || profile === 'intermediate'
  const tbs = toBeSigned({
    issuer: encodeName({ commonName: by?.name ?? name }),
    authorityKeyIdentifier: keyIdentifier(spkiOf(issuerKey)),
    signerAlgorithm: signer.algorithm,
    serial,
    validity: { notBefore: new Date(now - 60_000), notAfter: new Date(now + 30 * day) },
    subject: { commonName: name },
    spki: spkiOf(privateKey),
    profile,
    altNames: authority ? noAltNames : { ...noAltNames, dnsNames: [name] },
    subjectKeyIdentifier: keyIdentifier(spkiOf(privateKey)),
  })
  const cert = toPem('CERTIFICATE', assemble(tbs, signer.algorithm, await signer.sign(tbs)))
  return { name, cert, key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })), serial }
}

/** A revocation list of an authority, PEM. */
export async function revoke(by: Pair, serials: readonly string[]): Promise<string> {
  const key = createPrivateKey(by.key)
  const signer = keySigner(key)
  const now = Math.floor(Date.now() / 1000) * 1000
  const tbs = await buildCrl(
    {
      issuer: encodeName({ commonName: by.name }),
      signerAlgorithm: signer.algorithm,
      authorityKeyIdentifier: keyIdentifier(spkiOf(key)),
      number: 1n,
      thisUpdate: new Date(now - 60_000),
      nextUpdate: new Date(now + day),
    },
    serials.map((serial) => encodeEntry({ serial, revokedAt: new Date(now - 30_000) })),
  )
  return toPem('X509 CRL', assemble(tbs, signer.algorithm, await signer.sign(tbs)))
}

import { getCACertificates } from 'node:tls'
import {
  fingerprintSha256,
  type ParsedCertificate,
  readCertificate,
} from '../../x509/certificates/read.ts'
import { X509Error } from '../../x509/der/errors.ts'
import { readPem } from '../../x509/der/pem.ts'

let known: readonly ParsedCertificate[] | undefined

/** The roots that browsers know: Mozilla's, as Node brings them along, and those of NODE_EXTRA_CA_CERTS. Read once,
 *  when first asked for; one that our reader does not take is none. */
export function publicRoots(): readonly ParsedCertificate[] {
  known ??= [...getCACertificates('bundled'), ...getCACertificates('extra')].flatMap(rootIn)
  return known
}

let prints: ReadonlySet<string> | undefined

/** Whether browsers know this root. */
export function isPublicRoot(der: Buffer): boolean {
  prints ??= new Set(publicRoots().map((root) => fingerprintSha256(root.der)))
  return prints.has(fingerprintSha256(der))
}

function rootIn(pem: string): readonly ParsedCertificate[] {
  try {
    return readPem(pem, 'CERTIFICATE').map(readCertificate)
  } catch (error) {
    if (!(error instanceof X509Error)) throw error
    return []
  }
}

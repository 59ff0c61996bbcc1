import { createPrivateKey, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { serialFrom } from '../../src/x509/certificates/serial.ts'
import { toBeSigned } from '../../src/x509/certificates/template.ts'
import { toPem } from '../../src/x509/der/pem.ts'
import { generateKey } from '../../src/x509/keys/generate.ts'
import { keyIdentifier, spkiOf } from '../../src/x509/keys/public.ts'
import { assemble, keySigner } from '../../src/x509/keys/sign.ts'
import { noAltNames } from '../../src/x509/names/altnames.ts'
import type { DistinguishedName } from '../../src/x509/names/attributes.ts'
import { encodeName } from '../../src/x509/names/distinguished.ts'
import { parseJson, text } from '../json.ts'

/** A certificate and its key, both PEM. */
export type Credential = { readonly cert: string; readonly key: string }

/** Who the sandbox's API server is: its CA and the token it lets in. */
export type Identity = { readonly ca: Credential; readonly token: string }

const year = 365 * 86_400_000

/** The identity kept in `directory`, made at first use. */
export async function findIdentity(directory: string): Promise<Identity> {
  const path = join(directory, 'identity.json')
  const kept = await readFile(path, 'utf8').catch(() => undefined)
  if (kept !== undefined) {
    const value = parseJson(kept)
    const ca = { cert: text(value, 'ca', 'cert'), key: text(value, 'ca', 'key') }
    return { ca, token: text(value, 'token') }
  }
  const ca = await certify({ commonName: 'Gatesmith sandbox API server CA' }, [], undefined)
  const identity = { ca, token: randomBytes(32).toString('base64url') }
  await writeFile(`${path}.new`, JSON.stringify(identity), { mode: 0o600, flush: true })
  await rename(`${path}.new`, path)
  return identity
}

/** A certificate for `names` (DNS names and addresses) by the CA, or a CA of its own without one. */
export async function certify(
  subject: DistinguishedName,
  names: readonly string[],
  by: Credential | undefined,
): Promise<Credential> {
  const { privateKey } = await generateKey('ECDSA_P256')
  const signer = keySigner(by ? createPrivateKey(by.key) : privateKey)
  const spki = spkiOf(privateKey)
  const issuerSpki = by ? spkiOf(createPrivateKey(by.key)) : spki
  const now = Math.floor(Date.now() / 1000) * 1000
  const root = by === undefined && names.length === 0
  const tbs = toBeSigned({
    issuer: encodeName(by ? { commonName: 'Gatesmith sandbox API server CA' } : subject),
    ...(root ? {} : { authorityKeyIdentifier: keyIdentifier(issuerSpki) }),
    signerAlgorithm: signer.algorithm,
    serial: serialFrom(randomBytes(16)),
    validity: {
      notBefore: new Date(now - 60_000),
      notAfter: new Date(now + (root ? 10 : 1) * year),
    },
    subject,
    spki,
    profile: root ? 'root' : 'server',
    altNames: {
      ...noAltNames,
      dnsNames: names.filter((name) => !isIP(name)),
      ipAddresses: names.filter((name) => isIP(name)),
    },
    subjectKeyIdentifier: keyIdentifier(spki),
  })
  const certificate = assemble(tbs, signer.algorithm, await signer.sign(tbs))
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  return { cert: toPem('CERTIFICATE', certificate), key }
}

/** Does the Authorization header carry the identity's token? */
export function admits(identity: Identity, authorization: string | undefined): boolean {
  const given = Buffer.from(authorization?.replace(/^Bearer /i, '') ?? '')
  const token = Buffer.from(identity.token)
  return given.length === token.length && timingSafeEqual(given, token)
}

/** A kubeconfig whose one context is the sandbox. */
export function kubeconfigOf(identity: Identity, server: string): string {
  const authority = Buffer.from(identity.ca.cert).toString('base64')
  return `# The Gatesmith sandbox: a small stand-in for a Kubernetes cluster, for trying and testing only.
apiVersion: v1
kind: Config
current-context: sandbox
clusters:
- name: sandbox
  cluster:
    server: ${server}
    certificate-authority-data: ${authority}
contexts:
- name: sandbox
  context:
    cluster: sandbox
    user: sandbox
    namespace: default
users:
- name: sandbox
  user:
    token: ${identity.token}
`
}

import { randomBytes, sign } from 'node:crypto'
import { readCertificate } from '../src/x509/certificates/read.ts'
import { serialFrom } from '../src/x509/certificates/serial.ts'
import {
  prepareIssuer,
  type SubjectPart,
  toBeSigned,
  toBeSignedBy,
} from '../src/x509/certificates/template.ts'
import { generateKey } from '../src/x509/keys/generate.ts'
import { keyIdentifier, spkiOf } from '../src/x509/keys/public.ts'
import { assemble, keySigner } from '../src/x509/keys/sign.ts'
import { lint } from '../src/x509/lints/run.ts'
import { noAltNames } from '../src/x509/names/altnames.ts'
import { encodeName } from '../src/x509/names/distinguished.ts'

/** Prints how many P-256 leaves one JavaScript thread builds, lints, signs and assembles a second,
 *  beside what native signing alone reaches. Run: node bench/x509.ts */

const seconds = 3
const ca = await generateKey('ECDSA_P256')
const key = await generateKey('ECDSA_P256')
const signer = keySigner(ca.privateKey)
const spki = spkiOf(key.publicKey)
const caSpki = spkiOf(ca.publicKey)
const name = encodeName({ commonName: 'Bench issuing authority', organization: 'Example' })
const notBefore = new Date('2026-01-01T00:00:00Z')
const validity = { notBefore, notAfter: new Date('2026-03-31T23:59:59Z') }
const shared = {
  issuer: name,
  authorityKeyIdentifier: keyIdentifier(caSpki),
  crlUrl: 'http://pki.example/crl/0123456789/1.crl',
  ocspUrl: 'http://pki.example/ocsp',
  issuerUrl: 'http://pki.example/ca/0123456789.crt',
  signerAlgorithm: signer.algorithm,
} as const
const caTbs = toBeSigned({
  issuer: name,
  signerAlgorithm: signer.algorithm,
  serial: serialFrom(randomBytes(20)),
  validity: { notBefore, notAfter: new Date('2030-12-31T23:59:59Z') },
  subject: name,
  spki: caSpki,
  profile: 'root',
  altNames: noAltNames,
  subjectKeyIdentifier: keyIdentifier(caSpki),
})
const issuer = readCertificate(assemble(caTbs, signer.algorithm, await signer.sign(caTbs)))
const prepared = prepareIssuer(shared)
const allowed = { crlUrl: shared.crlUrl, now: notBefore }

function subject(): SubjectPart {
  return {
    serial: serialFrom(randomBytes(20)),
    validity,
    subject: { commonName: 'shop.example', organization: 'Example' },
    spki,
    profile: 'server',
    altNames: { ...noAltNames, dnsNames: ['shop.example', 'www.shop.example', 'api.shop.example'] },
    subjectKeyIdentifier: keyIdentifier(spki),
  }
}

function built(): Buffer {
  return toBeSignedBy(prepared, subject())
}

function linted(): Buffer {
  const tbs = built()
  const findings = lint(tbs, { issuer, profile: 'server', allowed })
  if (findings.length > 0) throw new Error(JSON.stringify(findings))
  return tbs
}

function certified(): Buffer {
  const tbs = linted()
  return assemble(tbs, signer.algorithm, sign('sha256', tbs, ca.privateKey))
}

function rate(work: () => unknown): number {
  for (let i = 0; i < 2000; i++) work()
  const began = performance.now()
  let count = 0
  while (performance.now() - began < seconds * 1000) for (let i = 0; i < 50; i++, count++) work()
  return Math.round(count / ((performance.now() - began) / 1000))
}

const tbs = built()
console.table({
  'native P-256 signing alone': rate(() => sign('sha256', tbs, ca.privateKey)),
  'build the bytes': rate(built),
  'build and lint': rate(linted),
  'build, lint, sign, assemble': rate(certified),
})

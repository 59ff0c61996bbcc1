import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ParsedCertificate, readCertificate } from '../../src/x509/certificates/read.ts'
import { serialFrom } from '../../src/x509/certificates/serial.ts'
import { type Template, toBeSigned } from '../../src/x509/certificates/template.ts'
import { toPem } from '../../src/x509/der/pem.ts'
import { generateKey, type KeyPair } from '../../src/x509/keys/generate.ts'
import { type KeyAlgorithm, keyIdentifier, spkiOf } from '../../src/x509/keys/public.ts'
import { assemble, keySigner, type Signer } from '../../src/x509/keys/sign.ts'
import { noAltNames } from '../../src/x509/names/altnames.ts'
import { encodeName } from '../../src/x509/names/distinguished.ts'

/** An authority for tests: certificate, key and signer. */
export type Authority = {
  readonly certificate: ParsedCertificate
  readonly keys: KeyPair
  readonly signer: Signer
}

/** A directory of its own, gone when the test's process ends. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'x509-'))
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Writes bytes or text into `directory` and answers the path. */
export function put(directory: string, name: string, contents: string | Buffer): string {
  const path = join(directory, name)
  writeFileSync(path, contents)
  return path
}

/** Runs a second reader; `text` is all it said. */
export function run(program: string, args: readonly string[], input?: Buffer | string) {
  const done = spawnSync(program, args, { input, maxBuffer: 1 << 28 })
  return { ok: done.status === 0, out: done.stdout, text: `${done.stdout}${done.stderr}` }
}

/** Whether a second reader is there. */
export function has(program: string): boolean {
  return spawnSync(program, ['-h']).error === undefined
}

/** The reason to skip a test whose second reader is absent, or false. */
export function without(program: string): string | false {
  return has(program) ? false : `${program} is not on this machine`
}

/** One moment for the whole run: a period written down before another must not begin before it. */
const now = Math.floor(Date.now() / 1000) * 1000

/** The period of certificates in tests: begins an hour ago, as openssl judges by today's clock. */
export function period(days: number) {
  return {
    notBefore: new Date(now - 3_600_000),
    notAfter: new Date(now + days * 86_400_000 - 1000),
  }
}

/** A template over `keys`, issued by `issuer` or, without one, by itself. */
export function templateFor(keys: KeyPair, over: Partial<Template>, issuer?: Authority): Template {
  const spki = spkiOf(keys.publicKey)
  const subject = over.subject ?? { commonName: 'Test' }
  const key = issuer?.certificate.subjectKeyIdentifier
  return {
    serial: serialFrom(randomBytes(20)),
    issuer:
      issuer?.certificate.subjectDer ?? (Buffer.isBuffer(subject) ? subject : encodeName(subject)),
    validity: period(issuer ? 90 : 3650),
    subject,
    spki,
    profile: 'server',
    altNames: noAltNames,
    subjectKeyIdentifier: keyIdentifier(spki),
    signerAlgorithm: issuer?.signer.algorithm ?? keySigner(keys.privateKey).algorithm,
    ...(key ? { authorityKeyIdentifier: key } : {}),
    ...over,
  }
}

/** Signs a template with the issuer's key. */
export async function issued(template: Template, signer: Signer): Promise<ParsedCertificate> {
  const tbs = toBeSigned(template)
  return readCertificate(assemble(tbs, signer.algorithm, await signer.sign(tbs)))
}

/** A root, or an intermediate below `parent`. */
export async function authority(
  algorithm: KeyAlgorithm,
  over: Partial<Template> = {},
  parent?: Authority,
): Promise<Authority> {
  const keys = await generateKey(algorithm)
  const own = keySigner(keys.privateKey)
  const profile = parent ? 'intermediate' : 'root'
  const subject = { commonName: `Test ${profile} ${algorithm}`, organization: 'Example' }
  const template = templateFor(keys, { profile, subject, validity: period(1000), ...over }, parent)
  return { certificate: await issued(template, parent?.signer ?? own), keys, signer: own }
}

/** PEM of a certificate. */
export function pemOf(certificate: ParsedCertificate): string {
  return toPem('CERTIFICATE', certificate.der)
}

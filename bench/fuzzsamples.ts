import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readPem } from '../src/x509/der/pem.ts'

/** Certificates, requests, lists, keys and stores by openssl, of each kind of key. */
export function makeSamples() {
  const folder = mkdtempSync(join(tmpdir(), 'gatesmith-fuzz-'))
  const at = (name: string) => join(folder, name)
  const ran = (...args: readonly string[]): Buffer => {
    const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: folder })
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`)
    return stdout
  }
  try {
    writeFileSync(at('ca.cnf'), configuration)
    writeFileSync(at('index.txt'), '')
    writeFileSync(at('crlnumber'), '01\n')
    const kinds = [
      ['rsa', ['rsa:2048']],
      ['ec', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
      ['ed', ['ed25519']],
    ] as const
    for (const [name, [kind, ...options]] of kinds) {
      const made = ['-newkey', kind, ...options, '-nodes', '-keyout', `${name}.key`, '-out']
      ran(
        'req',
        '-x509',
        ...made,
        `${name}.crt`,
        '-subj',
        '/C=DE/O=Fuzz/CN=a.example.com',
        '-days',
        '9',
        '-config',
        'ca.cnf',
        '-extensions',
        'all',
      )
      ran(
        'req',
        '-new',
        '-key',
        `${name}.key`,
        '-out',
        `${name}.csr`,
        '-subj',
        '/DC=com/O=Fuzz/CN=a.example.com',
        '-config',
        'ca.cnf',
        '-reqexts',
        'wished',
      )
    }
    const names = kinds.map(([name]) => name)
    ran('ca', '-config', 'ca.cnf', '-revoke', 'ec.crt', '-cert', 'rsa.crt', '-keyfile', 'rsa.key')
    const list = ran(
      'ca',
      '-config',
      'ca.cnf',
      '-gencrl',
      '-cert',
      'rsa.crt',
      '-keyfile',
      'rsa.key',
    )
    ran('ocsp', '-issuer', 'rsa.crt', '-cert', 'ec.crt', '-reqout', 'ocsp.der')
    const store = (name: string, ...options: readonly string[]) =>
      ran(
        'pkcs12',
        '-export',
        '-inkey',
        `${name}.key`,
        '-in',
        `${name}.crt`,
        '-certfile',
        'rsa.crt',
        '-passout',
        'pass:secret',
        '-iter',
        '1',
        '-name',
        'x',
        ...options,
      )
    const plain = ['-keypbe', 'NONE', '-certpbe', 'NONE', '-nomac']
    const keyText = (...options: readonly string[]) =>
      ran('pkcs8', '-topk8', '-in', 'ec.key', '-passout', 'pass:secret', ...options)
    return {
      pems: [
        ...names.map((name) => readFileSync(at(`${name}.crt`))),
        Buffer.from(`\ufeff${readFileSync(at('rsa.crt'), 'utf8').replaceAll('\n', '\r\n')}`),
        ran('x509', '-in', 'rsa.crt', '-text'),
      ],
      certificates: names.map((name) => ran('x509', '-in', `${name}.crt`, '-outform', 'DER')),
      requests: names.flatMap((name) => [
        readFileSync(at(`${name}.csr`)),
        ran('req', '-in', `${name}.csr`, '-outform', 'DER'),
      ]),
      lists: readPem(list.toString('latin1'), 'X509 CRL'),
      ocsp: [readFileSync(at('ocsp.der'))],
      keys: [
        ...names.map((name) =>
          ran('pkcs8', '-topk8', '-nocrypt', '-in', `${name}.key`, '-outform', 'DER'),
        ),
        ran('rsa', '-in', 'rsa.key', '-traditional', '-outform', 'DER'),
        ran('ec', '-in', 'ec.key', '-outform', 'DER'),
        ran('ec', '-in', 'ec.key', '-param_enc', 'explicit', '-outform', 'DER'),
      ],
      keyTexts: [
        keyText('-iter', '1'),
        keyText('-v1', 'PBE-SHA1-3DES', '-iter', '1'),
        ran('ec', '-in', 'ec.key', '-aes128', '-passout', 'pass:secret'),
      ],
      stores: [
        store('ec'),
        store('rsa', '-legacy'),
        store('ec', '-nomac'),
        store('ec', ...plain),
        store('ed', ...plain),
        store('ec', '-legacy', '-nomac'),
      ],
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const configuration = `
[ca]
default_ca = this
[this]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 9
crl_extensions = crl
[crl]
authorityKeyIdentifier = keyid:always
[req]
distinguished_name = dn
[dn]
[all]
basicConstraints = critical,CA:TRUE,pathlen:1
keyUsage = critical,keyCertSign,cRLSign
extendedKeyUsage = serverAuth,clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
subjectAltName = DNS:a.example.com,IP:192.0.2.1,email:a@example.com,URI:https://a.example.com/,otherName:1.2.3;UTF8:x
nameConstraints = permitted;DNS:example.com,permitted;IP:192.0.2.0/255.255.255.0
crlDistributionPoints = URI:http://a.example.com/crl
authorityInfoAccess = OCSP;URI:http://a.example.com/ocsp,caIssuers;URI:http://a.example.com/ca
certificatePolicies = 1.2.3
[wished]
subjectAltName = DNS:a.example.com,IP:192.0.2.1
keyUsage = digitalSignature
nsComment = fuzz
`

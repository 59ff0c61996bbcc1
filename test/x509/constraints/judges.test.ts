import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import fc from 'fast-check'
import { roomUnder } from '../../../src/x509/certificates/chain.ts'
import { extension } from '../../../src/x509/certificates/extensions.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { constraintFaults } from '../../../src/x509/constraints/faults.ts'
import { encodeConstraints, readConstraints } from '../../../src/x509/constraints/subtrees.ts'
import { context, readDer, sequence } from '../../../src/x509/der/encoding.ts'
import { contentsOf } from '../../../src/x509/der/fields.ts'
import { oids } from '../../../src/x509/der/oids.ts'
import { readPem } from '../../../src/x509/der/pem.ts'
import { generateKey } from '../../../src/x509/keys/generate.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { ia5Name, ipName } from '../../../src/x509/names/generalnames.ts'
import { ipText } from '../../../src/x509/names/ip.ts'
import { foreign } from '../../authorities/foreign.ts'
import {
  type Authority,
  authority,
  issued,
  pemOf,
  put,
  run,
  scratch,
  templateFor,
} from '../support.ts'

/** A chain as judges get it, and what we say of it. */
type Case = {
  readonly name: string
  readonly good: boolean
  readonly what: string
  /** Go and GnuTLS do not tell an authority from the next one of the same name. */
  readonly selfIssued: boolean
  /** Where Go goes its own way: a mail host stands for all hosts below it, and of permitted ranges that
   *  overlap the larger is not always seen. */
  readonly goDiffers: boolean
  /** Java does not mask the base of a range. What we write of such constraints has no host bits. */
  readonly javaDiffers: boolean
}

const directory = scratch()
const keys = await generateKey('ECDSA_P256')

const label = fc.constantFrom('a', 'b', 'shop')
const host = fc
  .array(label, { minLength: 1, maxLength: 3 })
  .map((all) => [...all, 'test'].join('.'))
/** Addresses and masks close together, host bits included. */
const octets = fc.tuple(fc.constantFrom(10, 11), fc.constantFrom(0, 1), fc.nat(2), fc.nat(3))
const prefix = fc.constantFrom(
  'ff000000',
  'ffff0000',
  'ffffff00',
  'ffffffff',
  '00000000',
  'fffffffe',
)
const range = fc
  .tuple(octets, prefix)
  .map(([base, mask]) => Buffer.concat([Buffer.from(base), Buffer.from(mask, 'hex')]))
const mail = fc.tuple(fc.constantFrom('me', 'you'), host).map((both) => both.join('@'))
const mailSpace = fc.oneof(
  host,
  host.map((name) => `.${name}`),
  mail,
)

const space = fc.oneof(
  host.map((name) => ia5Name('dns', name)),
  range.map(ipName),
  mailSpace.map((name) => ia5Name('email', name)),
)
const spaces = fc.array(space, { maxLength: 3 })
const constraints = fc
  .tuple(spaces, spaces)
  .filter(([permitted, excluded]) => permitted.length + excluded.length > 0)
  .map((sides) =>
    sequence(
      ...sides.flatMap((side, tag) =>
        side.length > 0 ? [context(tag, ...side.map((base) => sequence(base)))] : [],
      ),
    ),
  )
const names = fc
  .record({
    dnsNames: fc.array(host, { maxLength: 1 }),
    ipAddresses: fc.array(
      octets.map((all) => ipText(Buffer.from(all)) ?? ''),
      { maxLength: 1 },
    ),
    emailAddresses: fc.array(mail, { maxLength: 1 }),
    uris: fc.constant([]),
  })
  .filter(
    ({ dnsNames, ipAddresses, emailAddresses }) =>
      dnsNames.length + ipAddresses.length + emailAddresses.length > 0,
  )

/** The same cases each time, as the judges go their own ways in corners that are not ours. */
const sampled = (numRuns: number) => ({ numRuns, seed: 5280 })

/** Chains of a root and a leaf, the root held to what was generated. */
async function constrained(count: number): Promise<readonly Case[]> {
  const cases: Case[] = []
  const sample = fc.sample(fc.tuple(constraints, names), sampled(count))
  const written = sample
    .filter(([der]) => hasHostBits(der))
    .map(([der, altNames]) => [encodeConstraints(readConstraints(der)), altNames] as const)
  for (const [at, [der, altNames]] of [...sample, ...written].entries()) {
    const root = await foreign({
      name: `Root ${at}`,
      extensions: [extension(oids.nameConstraints, true, der)],
    })
    const issuer = issuerOf(root)
    const leaf = await issued(
      templateFor(keys, { subject: { organization: 'leaf' }, altNames }, issuer),
      issuer.signer,
    )
    const read = readConstraints(der)
    const good = constraintFaults(altNames, { organization: 'leaf' }, read).length === 0
    const mails = [...read.permitted.emailAddresses, ...read.excluded.emailAddresses]
    const goDiffers =
      read.permitted.ipRanges.length > 1 || mails.some((one) => /^[^.@]+\./.test(one))
    const what = JSON.stringify([read, altNames])
    const javaDiffers = hasHostBits(der)
    cases.push({ name: `c${at}`, good, what, goDiffers, javaDiffers, selfIssued: false })
    put(directory, `c${at}.root.pem`, root.pem)
    // openssl wants at least one: the root does no harm.
    put(directory, `c${at}.rest.pem`, root.pem)
    put(directory, `c${at}.leaf.pem`, pemOf(leaf))
  }
  return cases
}

function hasHostBits(der: Buffer): boolean {
  const bases = readDer(der).children.flatMap(({ children }) =>
    children.map((one) => one.children[0]),
  )
  return bases.some((base) => {
    const octets = base?.tag === 0x87 ? contentsOf(base) : Buffer.alloc(0)
    const half = octets.length / 2
    return octets.subarray(0, half).some((octet, i) => (octet & ~(octets[half + i] ?? 0)) !== 0)
  })
}

/** Chains of one to three authorities with path lengths, one of them perhaps self-issued. */
async function lengthened(count: number): Promise<readonly Case[]> {
  const length = fc.option(fc.nat(2), { nil: undefined })
  const links = fc.array(fc.tuple(length, fc.boolean()), { minLength: 1, maxLength: 3 })
  const cases: Case[] = []
  for (const [at, [first, all]] of fc.sample(fc.tuple(length, links), sampled(count)).entries()) {
    const said = (pathLength: number | undefined) =>
      pathLength === undefined ? {} : { pathLength }
    let path = [
      await authority('ECDSA_P256', { subject: { commonName: `Path ${at}` }, ...said(first) }),
    ]
    let good = true
    for (const [i, [pathLength, self]] of all.entries()) {
      const [above] = path
      if (!above) break
      const subject = self ? above.certificate.subjectDer : { commonName: `Path ${at} ${i}` }
      const below = await authority('ECDSA_P256', { subject, ...said(pathLength) }, above)
      good &&=
        (roomUnder(
          below.certificate,
          path.map(({ certificate }) => certificate),
        ) ?? 0) >= 0
      path = [below, ...path]
    }
    const [issuer, ...above] = path
    if (!issuer) continue
    const altNames = { ...noAltNames, dnsNames: ['a.test'] }
    const leaf = await issued(templateFor(keys, { altNames }, issuer), issuer.signer)
    const selfIssued = all.some(([, self]) => self)
    cases.push({
      name: `p${at}`,
      good,
      what: JSON.stringify([first, all]),
      selfIssued,
      goDiffers: false,
      javaDiffers: false,
    })
    put(directory, `p${at}.root.pem`, pemOf((above.at(-1) ?? issuer).certificate))
    put(
      directory,
      `p${at}.rest.pem`,
      path
        .slice(0, -1)
        .map(({ certificate }) => pemOf(certificate))
        .join(''),
    )
    put(directory, `p${at}.leaf.pem`, pemOf(leaf))
  }
  return cases
}

function issuerOf({ pem, signer }: Awaited<ReturnType<typeof foreign>>): Authority {
  const [der = Buffer.alloc(0)] = readPem(pem, 'CERTIFICATE')
  return { certificate: readCertificate(der), keys, signer }
}

const cases = [...(await constrained(80)), ...(await lengthened(40))]

test('the generated chains are of both kinds', () => {
  for (const kind of ['c', 'p']) {
    const some = cases.filter(({ name }) => name.startsWith(kind))
    assert.ok(some.some(({ good }) => good) && some.some(({ good }) => !good))
  }
})

/** Every case that we and the judge see differently. */
function differing(
  judge: (name: string) => boolean,
  among: readonly Case[] = cases,
): readonly string[] {
  return among
    .filter(({ name, good }) => judge(name) !== good)
    .map(({ name, good, what }) => `${name}: ${good ? 'good' : 'bad'} to us ${what}`)
}

test('openssl says the same of chains with constraints and path lengths', () => {
  const judge = (name: string) => {
    const file = (part: string) => `${directory}/${name}.${part}.pem`
    const args = ['verify', '-CAfile', file('root'), '-untrusted', file('rest'), file('leaf')]
    return run('openssl', args).ok
  }
  assert.deepEqual(differing(judge), [])
})

const go = `package main

import ("crypto/x509"; "encoding/pem"; "fmt"; "os")

func read(path string) (found []*x509.Certificate, err error) {
	rest, err := os.ReadFile(path)
	for err == nil {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil { return }
		var one *x509.Certificate
		if one, err = x509.ParseCertificate(block.Bytes); err == nil { found = append(found, one) }
	}
	return
}

func main() {
	for _, name := range os.Args[2:] {
		pools := map[string]*x509.CertPool{}
		var leaf *x509.Certificate
		var err error
		for _, part := range []string{"root", "rest", "leaf"} {
			pools[part] = x509.NewCertPool()
			found, failed := read(os.Args[1] + "/" + name + "." + part + ".pem")
			if failed != nil { err = failed }
			for _, one := range found { pools[part].AddCert(one); leaf = one }
		}
		if err == nil {
			_, err = leaf.Verify(x509.VerifyOptions{Roots: pools["root"], Intermediates: pools["rest"],
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		}
		fmt.Println(name, err == nil, err)
	}
}
`

const hasGo = spawnSync('go', ['version']).error === undefined
test(hasGo
  ? 'Go says the same of chains with constraints and path lengths'
  : 'Go is not on this machine, and was not asked of chains with constraints and path lengths', {
  skip: !hasGo,
}, () => {
  const program = put(directory, 'judge.go', go)
  const told = run('go', ['run', program, directory, ...cases.map(({ name }) => name)])
  assert.ok(told.ok, told.text)
  const lines = new Map(
    told.text
      .trim()
      .split('\n')
      .map((line) => [line.split(' ')[0], line]),
  )
  const among = cases.filter((one) => !one.goDiffers && !one.selfIssued)
  assert.ok(among.length > 30, String(among.length))
  const judge = (name: string) => / true /.test(lines.get(name) ?? '')
  assert.deepEqual(differing(judge, among), [])
})

const hasGnutls = spawnSync('certtool', ['--version']).error === undefined
test(hasGnutls
  ? 'GnuTLS says the same of chains with constraints and path lengths'
  : 'GnuTLS is not on this machine, and was not asked of chains with constraints and path lengths', {
  skip: !hasGnutls,
}, () => {
  const judge = (name: string) => {
    const [root, rest, leaf] = ['root', 'rest', 'leaf'].map(
      (part) => `${directory}/${name}.${part}.pem`,
    )
    const chain = run('cat', [leaf ?? '', ...(name.startsWith('p') ? [rest ?? ''] : [])]).out
    const told = run('certtool', [
      '--verify',
      '--load-ca-certificate',
      root ?? '',
      '--infile',
      put(directory, 'chain.pem', chain),
    ])
    return told.ok
  }
  const among = cases.filter(({ selfIssued }) => !selfIssued)
  assert.deepEqual(differing(judge, among), [])
})

/** The root stands at the end of each path, below its own name and key: as an anchor, what it says of names
 *  and lengths would not be read (RFC 5280 6.1.1 (d)). */
const java = `import java.io.*;
import java.nio.file.*;
import java.security.cert.*;
import java.util.*;

public class Judge {
  static List<Certificate> read(String path) throws Exception {
    try (InputStream in = Files.newInputStream(Path.of(path))) {
      return new ArrayList<>(CertificateFactory.getInstance("X.509").generateCertificates(in));
    }
  }

  public static void main(String[] args) {
    for (String name : List.of(args).subList(1, args.length)) {
      String said = "true";
      try {
        String file = args[0] + "/" + name + ".";
        X509Certificate root = (X509Certificate) read(file + "root.pem").get(0);
        List<Certificate> path = read(file + "leaf.pem");
        if (name.startsWith("p")) path.addAll(read(file + "rest.pem"));
        path.add(root);
        TrustAnchor anchor = new TrustAnchor(root.getSubjectX500Principal(), root.getPublicKey(), null);
        PKIXParameters asked = new PKIXParameters(Set.of(anchor));
        asked.setRevocationEnabled(false);
        CertPath whole = CertificateFactory.getInstance("X.509").generateCertPath(path);
        CertPathValidator.getInstance("PKIX").validate(whole, asked);
      } catch (CertPathValidatorException e) {
        said = "false " + e.getMessage();
      } catch (Exception e) {
        said = "error " + e;
      }
      System.out.println(name + " " + said);
    }
  }
}
`

const hasJava = spawnSync('javac', ['-version']).error === undefined
test(hasJava
  ? 'Java says the same of chains with constraints and path lengths'
  : 'Java is not on this machine, and was not asked of chains with constraints and path lengths', {
  skip: !hasJava,
}, () => {
  const program = put(directory, 'Judge.java', java)
  const told = run('java', [program, directory, ...cases.map(({ name }) => name)])
  assert.ok(told.ok, told.text)
  const lines = new Map(
    told.text
      .trim()
      .split('\n')
      .map((line) => [line.split(' ')[0], line]),
  )
  assert.ok(!/ error /.test(told.text), told.text)
  const judge = (name: string) => / true$/.test(lines.get(name) ?? '')
  const among = cases.filter(({ javaDiffers }) => !javaDiffers)
  assert.ok(among.length > 80, String(among.length))
  assert.deepEqual(differing(judge, among), [])
})

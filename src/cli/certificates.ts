import { chmod, writeFile } from 'node:fs/promises'
import { answerOf, type Schemas } from '@gatesmith/client'
import { certificateId } from './follow.ts'
import { base64Of, CommandError, type Io, textOf } from './io.ts'
import { acmeKeyColumns, certificateColumns, certificatesOf, filterIn } from './nouns.ts'
import { print } from './print.ts'
import { openSession, type Remote, type Session, tenantOf } from './session/contexts.ts'

type IssueOptions = Remote & {
  readonly profile: string
  readonly commonName?: string
  readonly organization?: string
  readonly dns?: readonly string[]
  readonly ip?: readonly string[]
  readonly email?: readonly string[]
  readonly uri?: readonly string[]
  readonly authority?: string
  readonly days?: number
  readonly keyAlgorithm?: string
  readonly csr?: string
  readonly label?: readonly string[]
  readonly idempotencyKey?: string
  readonly out?: string
}

/** `gatesmith issue`. */
export async function issue(io: Io, options: IssueOptions): Promise<void> {
  const { dns, ip, email, uri, authority, days, keyAlgorithm, csr, commonName, organization } =
    options
  const session = await openSession(io, options)
  const subject = { commonName, organization }
  const asked = {
    profile: options.profile,
    ...((commonName ?? organization) ? { subject } : {}),
    dnsNames: dns,
    ipAddresses: ip,
    emailAddresses: email,
    uris: uri,
    authority,
    validityDays: days,
    keyAlgorithm,
    csr: csr === undefined ? undefined : await textOf(csr),
    labels: options.label && Object.fromEntries(options.label.map(filterIn)),
  }
  // What was not said is left out; the service reads the rest by its schema.
  const body = JSON.parse(JSON.stringify(asked))
  const key = options.idempotencyKey
  const made = await answerOf(
    session.client.POST('/v1/tenants/{tenant}/certificates', {
      params: { path: { tenant: tenantOf(session) } },
      body,
      ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
    }),
  )
  await printOne(session, made)
  tellLeftOut(io, made)
  if (options.out !== undefined) {
    const own = csr === undefined
    await write(io, options.out, await bundled(session, made.id, { privateKey: own }), own)
  }
}

type UploadOptions = Remote & {
  readonly certificate?: readonly string[]
  readonly key?: string
  readonly pkcs12?: string
  readonly passphraseFile?: string
  readonly replaces?: string
  readonly label?: readonly string[]
  readonly dryRun?: true
}

/** `gatesmith upload`: a certificate of a CA elsewhere with its key, for hosts to serve. */
export async function upload(io: Io, options: UploadOptions): Promise<void> {
  const { certificate = [], key, pkcs12, passphraseFile, replaces, label, dryRun } = options
  if ((certificate.length === 0) === (pkcs12 === undefined)) {
    throw new CommandError('Name its files: --certificate with --key, or --pkcs12')
  }
  const session = await openSession(io, options)
  const texts = await Promise.all(certificate.map((path) => textOf(path)))
  const asked = {
    certificate: texts.length > 0 ? texts.join('\n') : undefined,
    privateKey: key === undefined ? undefined : await textOf(key),
    pkcs12: pkcs12 === undefined ? undefined : await base64Of(pkcs12),
    passphrase: passphraseFile
      ? (await textOf(passphraseFile)).trimEnd()
      : io.env.GATESMITH_UPLOAD_PASSPHRASE,
    replaces: replaces === undefined ? undefined : await certificateId(session, replaces),
    labels: label && Object.fromEntries(label.map(filterIn)),
  }
  const made = await answerOf(
    session.client.POST('/v1/tenants/{tenant}/certificates:import', {
      params: {
        path: { tenant: tenantOf(session) },
        ...(dryRun ? { query: { dryRun: true } } : {}),
      },
      body: JSON.parse(JSON.stringify(asked)),
    }),
  )
  await printOne(session, made)
  if (made.leftOut.length > 0) {
    io.err.write(`Came along and is not served: ${made.leftOut.join('; ')}\n`)
  }
  if (made.upload?.publicRoot === false) {
    io.err.write(`Its root is none that browsers know: ${made.upload.root}\n`)
  }
  if (dryRun) io.err.write('Nothing was changed: --dry-run\n')
}

type AcmeKeyOptions = Remote & {
  readonly authority?: string
  readonly within?: readonly string[]
  readonly challenges?: true
}

/** `gatesmith acme-key`: makes a key for ACME clients; what they sign with goes to standard output, or with the rest of it
 *  as JSON or YAML, and nowhere else. */
export async function acmeKey(io: Io, name: string, options: AcmeKeyOptions): Promise<void> {
  const session = await openSession(io, options)
  const { authority, within: names, challenges } = options
  const made = await answerOf(
    session.client.POST('/v1/tenants/{tenant}/acme-keys', {
      params: { path: { tenant: tenantOf(session) } },
      body: JSON.parse(JSON.stringify({ name, authority, names, preauthorized: !challenges })),
    }),
  )
  const key = ({ id }: Schemas['AcmeKey']) => `acme-key/${id}`
  await print(session, [made], { columns: acmeKeyColumns, name: key, single: true })
  if (session.output === 'table' || session.output === 'wide') {
    io.out.write(`\nkid:  ${made.id}\nhmac: ${made.hmacKey}\n`)
  }
}

/** `gatesmith renew`: a certificate, or that of a host. */
export async function renew(
  io: Io,
  word: string,
  options: Remote & { readonly csr?: string },
): Promise<void> {
  const session = await openSession(io, options)
  const path = { tenant: tenantOf(session), id: await certificateId(session, word) }
  const body = options.csr === undefined ? {} : { csr: await textOf(options.csr) }
  const call = session.client.POST('/v1/tenants/{tenant}/certificates/{id}/renew', {
    params: { path },
    body,
  })
  const made = await answerOf(call)
  await printOne(session, made)
  tellLeftOut(io, made)
}

function tellLeftOut({ err }: Io, { leftOut }: Schemas['Certificate']): void {
  if (leftOut.length > 0)
    err.write(`Its CSR asked for what was not granted: ${leftOut.join(', ')}\n`)
}

/** `gatesmith revoke`: a certificate, or that of a host. */
export async function revoke(
  io: Io,
  word: string,
  options: Remote & { readonly reason?: string },
): Promise<void> {
  const session = await openSession(io, options)
  const path = { tenant: tenantOf(session), id: await certificateId(session, word) }
  const body = JSON.parse(JSON.stringify({ reason: options.reason }))
  const call = session.client.POST('/v1/tenants/{tenant}/certificates/{id}/revoke', {
    params: { path },
    body,
  })
  await printOne(session, await answerOf(call))
}

type BundleOptions = Remote & {
  readonly format: string
  readonly privateKey?: true
  readonly passwordFile?: string
  readonly compatibility?: string
  readonly out?: string
}

/** `gatesmith bundle`: the certificate with its chain, and its key where asked for. */
export async function bundle(io: Io, word: string, options: BundleOptions): Promise<void> {
  const { privateKey = false, out, format, compatibility } = options
  if (out === undefined && io.terminal && format !== 'pem') {
    throw new CommandError(`${format} is not text: say --out <file>, or send it on`)
  }
  const session = await openSession(io, options)
  const id = await certificateId(session, word)
  const password = options.passwordFile
    ? (await textOf(options.passwordFile)).trimEnd()
    : io.env.GATESMITH_BUNDLE_PASSWORD
  const octets = await bundled(session, id, { format, privateKey, password, compatibility })
  if (out !== undefined) await write(io, out, octets, privateKey || format === 'p12')
  else if (format === 'pem') io.out.write(new TextDecoder().decode(octets))
  else process.stdout.write(octets)
}

/** `gatesmith expiring`: what ends soon, first things first. */
export async function expiring(
  io: Io,
  options: Remote & { readonly within: string; readonly limit?: number },
): Promise<void> {
  const session = await openSession(io, options)
  const filters = { expiringWithin: durationIn(options.within), sort: 'notAfter' }
  const found: Schemas['Certificate'][] = []
  for await (const certificate of certificatesOf(session, filters)) {
    if (found.length >= (options.limit ?? Number.POSITIVE_INFINITY)) break
    found.push(certificate)
  }
  await print(session, found, {
    columns: certificateColumns,
    name: ({ id }) => `certificate/${id}`,
    none: `Nothing ends within ${options.within}`,
  })
}

function printOne(session: Session, certificate: Schemas['Certificate']): Promise<void> {
  return print(session, [certificate], {
    columns: certificateColumns,
    name: ({ id }) => `certificate/${id}`,
    single: true,
  })
}

type Bundled = {
  format?: string
  privateKey: boolean
  password?: string | undefined
  compatibility?: string | undefined
}

async function bundled(
  session: Session,
  id: string,
  { format = 'pem', privateKey, password, compatibility }: Bundled,
): Promise<Uint8Array> {
  const query = new URLSearchParams({
    format,
    ...(privateKey ? { privateKey: 'true' } : {}),
    ...(compatibility === undefined ? {} : { compatibility }),
  })
  const octets = await answerOf(
    session.client.GET('/v1/tenants/{tenant}/certificates/{id}/bundle', {
      params: { path: { tenant: tenantOf(session), id } },
      querySerializer: () => query.toString(),
      parseAs: 'arrayBuffer',
      headers: {
        accept: '*/*',
        ...(password === undefined ? {} : { 'x-bundle-password': password }),
      },
    }),
  )
  return new Uint8Array(octets)
}

/** For this user alone where a key is in it. */
async function write(io: Io, path: string, octets: Uint8Array, secret: boolean): Promise<void> {
  await writeFile(path, octets, { mode: secret ? 0o600 : 0o644 })
  // One that was there keeps its mode.
  if (secret) await chmod(path, 0o600)
  io.err.write(`Written to ${path}\n`)
}

/** `30d`, `12h`, `2w`, or ISO 8601 as the API has it: `P30D`. */
export function durationIn(text: string): string {
  const [, count, unit] = /^(\d{1,5})([dhw])$/.exec(text) ?? []
  if (count === undefined) return text
  return unit === 'h' ? `PT${count}H` : `P${count}${unit?.toUpperCase()}`
}

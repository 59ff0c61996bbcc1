import type { KeyObject } from 'node:crypto'
import { record } from '../../audit/record.ts'
import { blockedFault } from '../../authorities/keys/blocked.ts'
import { keyFault, takenKey, takeTenantKey } from '../../authorities/keys/holders.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, inTransaction, newId } from '../../core/context.ts'
import { bytes, json, sql, type Tx } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'
import { type ReadSent, readSent } from '../../core/opening/sent.ts'
import { servingFaults } from '../../hosts/certificates/uploaded.ts'
import { specOf } from '../../hosts/find.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { DistinguishedName } from '../../shared/schema.ts'
import { hostSpelling } from '../../shared/spelling.ts'
import { shown } from '../../shared/view.ts'
import { accessTenant, policyOf, type TenantRow } from '../../tenants/access.ts'
import { claimsOn } from '../../tenants/domains/claims.ts'
import { countOne } from '../../tenants/quotas/usage.ts'
import { pathPem, subjectText } from '../../x509/certificates/path.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { isCertified, spkiOf } from '../../x509/keys/public.ts'
import type { Certificate } from '../certificate.ts'
import { getCertificate } from '../find.ts'
import { noFailures } from '../hosts/outcome.ts'
import { sealLeafKey } from '../issuance/key.ts'
import { lockCertificate } from '../lock.ts'
import { certificateName } from '../name.ts'
import { tellDeliveries } from '../renewal/predecessor.ts'
import { nameRuleFaults, requestedHosts } from '../vetting/policy.ts'
import { aboveFaults, leafFaults } from './faults.ts'
import { replaceChain } from './rechain.ts'
import { publicRoots } from './roots.ts'
import type { NewUpload } from './schema.ts'
import { leafOf, type ServedCertificate, servedPath } from './served.ts'
import { usersOf } from './users.ts'

/** Takes a certificate of a CA elsewhere with its private key, for hosts to serve. Its chain is built of what was sent
 *  and of the roots that browsers know, and held against today; the root is not served. With `replaces` it takes the
 *  place of another one, whose hosts have it from then on. The same certificate once more is the one that is there:
 *  `created` is false, and if it came with another chain, that is served from then on. Throws tenant-unknown, certificate-refused with every fault, certificate-replaced,
 *  certificate-unknown, quota-exceeded, busy. */
export async function uploadCertificate(
  ctx: Context,
  actor: Actor,
  { tenant: name, request }: { readonly tenant: string; readonly request: NewUpload },
): Promise<{ readonly certificate: Certificate; readonly created: boolean }> {
  const tenant = await accessTenant(ctx, actor, { name, permission: 'write-certificates' })
  const sent = await readSent(ctx, request, { party: tenant.id, type: 'certificate-refused' })
  const { standing, key } = readStanding(sent, ctx.now())
  refuse('certificate-refused', await faultsOf(ctx, { tenant, standing, sent }))
  return ctx.db.transaction(async (tx) => {
    const within = inTransaction(ctx, tx)
    const known = await knownUpload(tx, { tenant, standing, sent, request })
    const replaced = known ? null : await holdReplaced(tx, { tenant, request, standing }, ctx.now())
    const id = known ?? (await store(tx, { ctx, actor, tenant, standing, key, request, sent }))
    if (known) await replaceChain(tx, { id: known, standing, actor, now: ctx.now() })
    if (replaced) await handOver(tx, { tenant, from: replaced })
    return {
      certificate: await getCertificate(within, actor, { tenant: name, id }),
      created: !known,
    }
  })
}

const pssKey =
  'The private key is named for RSASSA-PSS alone, which gateways do not load: have the certificate issued for an RSA or ECDSA key'

/** The certificate of the key, and what it stands on. Throws certificate-refused. */
function readStanding(
  { certificates, privateKey, field, keyField }: ReadSent,
  now: Date,
): { readonly standing: ServedCertificate; readonly key: KeyObject } {
  if (!privateKey) {
    const message = 'Send its private key along: gateways serve with it'
    const missing = field === '/pkcs12' ? field : '/privateKey'
    refuse('certificate-refused', [{ field: missing, message }])
    throw new Problem('certificate-refused', message)
  }
  // Gateways load no key that is named for PSS alone (RFC 4055 1.2), whatever its certificate says.
  const forPss = privateKey.asymmetricKeyType === 'rsa-pss'
  const leaf = forPss ? pssKey : leafOf(certificates, spkiOf(privateKey))
  if (typeof leaf === 'string') {
    refuse('certificate-refused', [{ field: keyField, message: leaf }])
    throw new Problem('certificate-refused', leaf)
  }
  const own = leafFaults(leaf, now).map((message) => ({ field, message }))
  const standing = servedPath(leaf, { certificates, known: publicRoots(), now })
  if ('leaf' in standing) {
    refuse('certificate-refused', own)
    return { standing, key: privateKey }
  }
  refuse('certificate-refused', [...own, ...standing.map((message) => ({ field, message }))])
  throw new Problem('certificate-refused', 'It leads to no root')
}

type Uploaded = {
  readonly tenant: TenantRow
  readonly standing: ServedCertificate
  readonly sent: ReadSent
}

/** What of it is not allowed here, all together: names, the kind of key, a key that is blocked or another's. */
async function faultsOf(
  ctx: Context,
  { tenant, standing, sent: { field, keyField } }: Uploaded,
): Promise<readonly Violation[]> {
  const { leaf } = standing
  const policy = policyOf(tenant)
  const names = namesIn(standing)
  const claims = await claimsOn(ctx.db.read, requestedHosts({ names, subject: {} }))
  const { keyAlgorithms } = policy
  const disallowed =
    isCertified(leaf.keyAlgorithm) && keyAlgorithms?.includes(leaf.keyAlgorithm) === false
      ? [`The tenant's policy allows ${keyAlgorithms.join(', ')}, not ${leaf.keyAlgorithm}`]
      : []
  const [taken, ...blocked] = await Promise.all([
    keyFault(ctx.db.read, leaf.spki, tenant.id),
    ...standing.path.above.map(({ spki }) => blockedFault(ctx.db.read, spki)),
  ])
  return [
    ...aboveFaults(standing),
    ...nameRuleFaults({ names }, { tenantId: tenant.id, policy, claims }).map(
      ({ message }) => message,
    ),
    ...disallowed,
    ...blocked.flatMap((fault) => fault ?? []),
  ]
    .map((message): Violation => ({ field, message }))
    .concat(taken === undefined ? [] : [{ field: keyField, message: taken }])
}

/** Its names in their one spelling. */
function namesIn({ leaf: { altNames } }: ServedCertificate) {
  return { ...altNames, dnsNames: [...new Set(altNames.dnsNames.map(hostSpelling))] }
}

/** The id of the very certificate, if it is there. Throws certificate-refused for one that was issued here, and for one
 *  that is there in the place of another. */
async function knownUpload(
  tx: Tx,
  { tenant, standing, sent, request }: Uploaded & { readonly request: NewUpload },
): Promise<string | undefined> {
  const uploaded = fingerprintSha256(standing.leaf.der)
  await tx.$executeRaw(
    sql`select pg_advisory_xact_lock(hashtextextended(${`upload/${uploaded}`}, 0))`,
  )
  const known = await tx.certificate.findMany({
    where: { serial: standing.leaf.serial, fingerprintSha256: uploaded },
    select: { id: true, tenantId: true, uploaded: true, replacesId: true },
  })
  const own = known.find(({ tenantId }) => tenantId === tenant.id)
  const message = known.some((one) => one.uploaded === '')
    ? 'It was issued here: hosts are issued certificates of their own'
    : known.length > 0 && !own
      ? takenKey
      : request.replaces !== undefined && own && own.replacesId !== request.replaces.toLowerCase()
        ? `It is here already, and not in the place of ${request.replaces}: put the hosts of that one with it (certificate.uploaded ${own.id})`
        : undefined
  refuse('certificate-refused', message === undefined ? [] : [{ field: sent.field, message }])
  return own?.id
}

/** The certificate whose place it takes, held until the transaction ends; null: it takes none. Throws
 *  certificate-unknown, certificate-replaced, and certificate-refused where a host of that one could not be served. */
async function holdReplaced(
  tx: Tx,
  asked: Pick<Uploaded, 'tenant' | 'standing'> & { readonly request: NewUpload },
  now: Date,
): Promise<string | null> {
  const { tenant, standing, request } = asked
  if (request.replaces === undefined) return null
  const id = request.replaces.toLowerCase()
  await lockCertificate(tx, id)
  const row = await tx.certificate.findFirst({
    where: { id, tenantId: tenant.id },
    select: { uploaded: true, replacedBy: { select: { id: true } } },
  })
  if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  if (row.uploaded === '') {
    const message =
      'It was issued here, and is renewed here: an uploaded one takes the place of uploaded ones alone. Put its host with certificate.uploaded instead'
    refuse('certificate-refused', [{ field: '/replaces', message }])
  }
  const [next] = row.replacedBy
  if (next) {
    throw new Problem('certificate-replaced', `${next.id} has taken its place: replace that one`, {
      replacedBy: next.id,
    })
  }
  const { leaf } = standing
  const successor = {
    ...{ uploaded: fingerprintSha256(leaf.der), serial: leaf.serial },
    ...{ notAfter: leaf.validity.notAfter, keyAlgorithm: leaf.keyAlgorithm ?? '' },
    dnsNames: namesIn(standing).dnsNames,
  }
  const users = await usersOf(tx, { tenantId: tenant.id, id })
  refuse(
    'certificate-refused',
    users.flatMap((host) =>
      servingFaults(successor, { name: host.name, spec: specOf(host), now }).map(({ message }) => ({
        field: '/replaces',
        message: `The host ${host.name}: ${message}`,
      })),
    ),
  )
  return id
}

type Storing = Uploaded & {
  readonly ctx: Context
  readonly actor: Actor
  readonly key: KeyObject
  readonly request: NewUpload
}

/** Stores it with its key, sealed, and answers its id. Throws certificate-refused for a key that is another's. */
async function store(
  tx: Tx,
  { ctx, actor, tenant, standing, key, request, sent }: Storing,
): Promise<string> {
  const now = ctx.now()
  const id = newId(now)
  const { leaf, path, publicRoot, leftOut } = standing
  const { validity, serial, subject, keyAlgorithm } = leaf
  const spkiSha256 = fingerprintSha256(leaf.spki)
  const uploaded = fingerprintSha256(leaf.der)
  const names = namesIn(standing)
  const { others: _, ...named } = subject
  const held = { spkiSha256, tenantId: tenant.id }
  await countOne(tx, { ctx, tenant }, 'certificatesPerDay')
  refuse(
    'certificate-refused',
    (await takeTenantKey(tx, held)) ? [] : [{ field: sent.keyField, message: takenKey }],
  )
  const row = {
    ...{ serial, commonName: subject.commonName ?? null, ...names },
    ...{ notBefore: validity.notBefore, notAfter: validity.notAfter },
  }
  await tx.certificate.create({
    data: {
      ...{ id, tenantId: tenant.id, profile: 'server', status: 'active' },
      ...{ ...row, dnsNames: [...names.dnsNames], ipAddresses: [...names.ipAddresses] },
      emailAddresses: [...names.emailAddresses],
      uris: [...names.uris],
      subject: json(shown(DistinguishedName, named)),
      leftOut: [...leftOut],
      keyAlgorithm: keyAlgorithm ?? '',
      ...{ spkiSha256, keySource: 'uploaded', uploaded, fingerprintSha256: uploaded },
      der: bytes(leaf.der),
      ...pathPem(path),
      replacesId: request.replaces?.toLowerCase() ?? null,
      reason: request.replaces === undefined ? null : 'asked',
      cause: 'uploaded',
      labels: json(request.labels ?? {}),
      createdAt: now,
      secret: {
        create: {
          sealed: bytes(sealLeafKey(ctx, id, key.export({ type: 'pkcs8', format: 'der' }))),
        },
      },
    },
    select: { id: true },
  })
  await tx.certificateFingerprint.create({
    data: { sha256: bytes(Buffer.from(uploaded, 'hex')), certificateId: id },
  })
  await record(tx, { actor, now }, 'certificate.uploaded', {
    subject: { kind: 'certificate', id, name: certificateName(row), tenantId: tenant.id },
    changes: {
      ...{ serial, ...names, keyAlgorithm, notAfter: validity.notAfter.toISOString() },
      chain: path.above.map(subjectText),
      ...{ root: subjectText(path.root), publicRoot, leftOut },
      ...(request.replaces === undefined ? {} : { replaces: request.replaces }),
    },
  })
  return id
}

/** Has the hosts and deliveries of the one before look at what they are to have now; of that one nothing is to be
 *  complained of any more. */
async function handOver(
  tx: Tx,
  { tenant, from }: { readonly tenant: TenantRow; readonly from: string },
): Promise<void> {
  const users = await usersOf(tx, { tenantId: tenant.id, id: from })
  await tx.certificate.updateMany({ where: { id: from }, data: noFailures })
  await dueMany(
    tx,
    'host.certify',
    users.map(({ id: hostId }) => ({ hostId })),
  )
  await tellDeliveries(tx, from)
}

import { createPrivateKey } from 'node:crypto'
import { record } from '../audit/record.ts'
import { inStoreTurn, storePasswordFaults } from '../authorities/trust/bundle.ts'
import { type Actor, allow } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import { Problem, refuse, type Violation } from '../shared/problem.ts'
import { accessTenant } from '../tenants/access.ts'
import { readPem, toPem } from '../x509/der/pem.ts'
import { type Compatibility, toPkcs12 } from '../x509/stores/write.ts'
import { sentChain } from './chain.ts'
import { openLeafKey } from './issuance/key.ts'
import { certificateName } from './name.ts'

/** What to download. */
export type BundleRequest = {
  readonly tenant: string
  readonly id: string
  /** pem (if left out): certificate and chain; der: the certificate alone; p12: both and the key
   *  (RFC 7292). */
  readonly format?: 'pem' | 'der' | 'p12' | undefined
  /** Adds the key to pem; p12 always has it. */
  readonly privateKey: boolean
  /** For p12. */
  readonly password?: string | undefined
  readonly compatibility?: Compatibility | undefined
}

/** A download and what it is. */
export type Bundle = {
  readonly mediaType: string
  readonly body: Buffer
  readonly fileName: string
}

/** A certificate for its user: with its chain, leaf first and without the root, as servers take it, and
 *  with the private key that was made here, if asked for. Each download is audited.
 *
 *  A private key leaves once. The first download that asks for it gets it; it counts from the moment
 *  that it is on record, before the bytes are sent, so that of two at once one is refused, and a reply
 *  that is lost on the way is lost: an admin, who may take it again (each time audited), can repeat it,
 *  or the certificate is issued anew. The key of a certificate that was made for a host never leaves
 *  this way: it goes to the host's clusters alone.
 *
 *  Throws tenant-unknown, certificate-unknown, certificate-unfinished, forbidden, request-invalid,
 *  key-absent, key-withheld, key-downloaded. */
export async function getBundle(
  ctx: Context,
  actor: Actor,
  request: BundleRequest,
): Promise<Bundle> {
  const { id, format = 'pem' } = request
  const { id: tenantId } = await accessTenant(ctx, actor, {
    name: request.tenant,
    permission: 'read',
  })
  const withKey = request.privateKey || format === 'p12'
  if (withKey) allow(actor, 'read-keys')
  refuse('request-invalid', faults(request))
  const row = await ctx.db.read.certificate.findFirst({ where: { id, tenantId } })
  if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  if (row.der === null) {
    throw new Problem('certificate-unfinished', 'It is still being signed; ask again in a moment')
  }
  if (withKey && row.hostId !== null) {
    throw new Problem(
      'key-withheld',
      'It was made for a host: its key goes to the clusters of that host and nowhere else',
    )
  }
  if (withKey && row.uploaded !== '') {
    throw new Problem(
      'key-withheld',
      'It was uploaded: whoever did that has its key, and from here it goes to clusters alone',
    )
  }
  const key = withKey ? await openLeafKey(ctx, id) : undefined
  const name = certificateName(row)
  const bundle = await render(ctx, request, {
    tenantId,
    name,
    der: Buffer.from(row.der),
    chain: await sentChain(ctx, row),
    key,
  })
  await ctx.db.transaction(async (tx) => {
    if (withKey) await take(tx, actor, { id, now: ctx.now() })
    await record(tx, { actor, now: ctx.now() }, 'certificate.downloaded', {
      subject: { kind: 'certificate', id, name, tenantId },
      changes: { format, privateKey: withKey, serial: row.serial },
    })
  })
  key?.fill(0)
  return bundle
}

function faults(request: BundleRequest): readonly Violation[] {
  const { format, privateKey, password, compatibility } = request
  if (format !== 'p12' && compatibility !== undefined) {
    return [{ field: 'querystring/compatibility', message: 'It is for p12: leave it out' }]
  }
  if (format === 'der' && privateKey) {
    return [{ field: 'querystring/privateKey', message: 'der is the certificate alone; use pem' }]
  }
  return format === 'p12' ? storePasswordFaults(password ?? '') : []
}

/** Marks the key as handed out. Throws key-downloaded unless it is the first time or an admin asks. */
async function take(
  tx: Tx,
  actor: Actor,
  { id: certificateId, now }: { id: string; now: Date },
): Promise<void> {
  const { count } = await tx.certificateSecret.updateMany({
    where: { certificateId, takenAt: null },
    data: { takenAt: now },
  })
  if (count > 0 || actor.role === 'admin') return
  const first = await tx.certificateSecret.findUnique({
    where: { certificateId },
    select: { takenAt: true },
  })
  throw new Problem(
    'key-downloaded',
    `It was handed out at ${first?.takenAt?.toISOString()}; ask an admin, or issue a new certificate`,
  )
}

type Parts = {
  readonly tenantId: string
  readonly name: string
  readonly der: Buffer
  readonly chain: string
  readonly key: Buffer | undefined
}

async function render(
  ctx: Context,
  { format, password = '', compatibility }: BundleRequest,
  { tenantId, name, der, chain, key }: Parts,
): Promise<Bundle> {
  const stem = name.replace(/[^A-Za-z0-9._-]+/g, '_')
  if (format === 'der') {
    return { mediaType: 'application/pkix-cert', fileName: `${stem}.crt`, body: der }
  }
  if (format !== 'p12' || !key) {
    const secret = key ? toPem('PRIVATE KEY', key) : ''
    const body = Buffer.from(toPem('CERTIFICATE', der) + chain + secret)
    return { mediaType: 'application/pem-certificate-chain', fileName: `${stem}.pem`, body }
  }
  const body = await inStoreTurn(ctx, tenantId, () =>
    toPkcs12({
      privateKey: createPrivateKey({ key, format: 'der', type: 'pkcs8' }),
      certificate: der,
      chain: chain === '' ? [] : readPem(chain, 'CERTIFICATE'),
      password,
      friendlyName: name,
      random: ctx.random(80),
      compatibility,
    }),
  )
  return { mediaType: 'application/x-pkcs12', fileName: `${stem}.p12`, body }
}

import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { bytes, json, type Tx } from '../../core/database/db.ts'
import { metersOf } from '../../core/metrics.ts'
import type { Labels } from '../../shared/lists/labels.ts'
import { policyOf } from '../../tenants/access.ts'
import { fingerprintSha256, type ParsedCertificate } from '../../x509/certificates/read.ts'
import { sealLeafKey } from '../issuance/key.ts'
import { certificateName } from '../name.ts'
import { renewAt, spreadOf } from '../renewal/rules.ts'

/** A certificate that a CA elsewhere issued for a host, checked, with what goes with it. */
export type IssuedElsewhere = {
  readonly certificate: ParsedCertificate
  readonly keyAlgorithm: string
  /** What a server sends after it, and the root that it leads to; PEM. */
  readonly chainPem: string
  readonly anchorPem: string
  /** Its private key, PKCS#8. */
  readonly pkcs8: Buffer
  readonly authority: { readonly id: string; readonly name: string }
  readonly host: { readonly id: string; readonly tenantId: string; readonly labels: Labels }
  readonly tenant: { readonly policy: unknown }
  readonly replacesId: string | null
  readonly reason: string | null
}

/** Records it as a certificate of the tenant like any other, in the transaction of its caller; answers its id. */
export async function recordElsewhere(
  ctx: Context,
  tx: Tx,
  { actor, issued }: { readonly actor: Actor; readonly issued: IssuedElsewhere },
): Promise<string> {
  const now = ctx.now()
  const id = newId(now)
  const { certificate, authority, host, tenant, replacesId, reason } = issued
  const { others: _, ...subject } = certificate.subject
  const { serial, validity, altNames, der, spki } = certificate
  const { dnsNames, ipAddresses, emailAddresses, uris } = altNames
  const cause = replacesId === null ? 'host' : 'renewal'
  const row = {
    ...{ id, tenantId: host.tenantId, authorityId: authority.id, hostId: host.id },
    ...{ profile: 'server', serial, cause, replacesId, reason },
    commonName: subject.commonName ?? null,
    dnsNames: [...dnsNames],
    keyAlgorithm: issued.keyAlgorithm,
  }
  await tx.certificate.create({
    data: {
      ...row,
      status: 'signing',
      subject: json(subject),
      ipAddresses: [...ipAddresses],
      emailAddresses: [...emailAddresses],
      uris: [...uris],
      spkiSha256: fingerprintSha256(spki),
      keySource: 'server',
      ...validity,
      chainPem: issued.chainPem,
      anchorPem: issued.anchorPem,
      renewAt: renewAt(validity, spreadOf(serial), policyOf(tenant).renewBefore),
      autoRenew: true,
      labels: json(host.labels),
      createdAt: now,
    },
  })
  const sealed = bytes(sealLeafKey(ctx, id, issued.pkcs8))
  await tx.certificateSecret.create({ data: { certificateId: id, sealed } })
  const fingerprint = fingerprintSha256(der)
  // What happened is told by a trigger, of a certificate that becomes active.
  await tx.certificate.update({
    where: { id },
    data: { status: 'active', der: bytes(der), fingerprintSha256: fingerprint },
    select: { id: true },
  })
  await tx.certificateFingerprint.create({
    data: { sha256: bytes(Buffer.from(fingerprint, 'hex')), certificateId: id },
  })
  await record(tx, { actor, now }, 'certificate.issued', {
    subject: { kind: 'certificate', id, name: certificateName(row), tenantId: host.tenantId },
    changes: {
      ...{ serial, authority: authority.name, profile: 'server', cause },
      ...{ dnsNames: [...dnsNames], keySource: 'server' },
      notBefore: validity.notBefore.toISOString(),
      notAfter: validity.notAfter.toISOString(),
      ...(reason === null ? {} : { reason }),
    },
  })
  metersOf(ctx.config).issued.inc({ profile: 'server', cause })
  return id
}

import Type from 'typebox'
import { CertificateRevocation, NewCertificate, Renewal } from '../../certificates/certificate.ts'
import { retireHost } from '../../certificates/hosts/remove.ts'
import { issueCertificate } from '../../certificates/issuance/issue.ts'
import { renewCertificate } from '../../certificates/renewal/renew.ts'
import { revokeCertificate } from '../../certificates/revocation/revoke.ts'
import { HostSpec } from '../../hosts/host.ts'
import { putHost } from '../../hosts/put.ts'
import { closed, HostnameText, Id, Name } from '../../shared/schema.ts'
import { expecting, tagArgument } from '../edge/conditions.ts'
import { IdempotencyKey } from '../idempotency.ts'
import { dryRun, writing } from '../rehearsal.ts'
import { versionedHost } from '../rest/hosts.ts'
import { field, type Needs } from './field.ts'
import type { Shape } from './sdl.ts'

const writesHosts: Needs = { permission: 'write-hosts', scope: 'hosts:write' }
const writesCertificates: Needs = { permission: 'write-certificates', scope: 'certificates:write' }

const ifMatch = tagArgument('Only if it still has this etag, or, with *, if it is there')
const ifNoneMatch = tagArgument('With *: only if it is not there yet')
const once = {
  idempotencyKey: Type.Optional(IdempotencyKey),
}

const fields: Shape['fields'] = {
  putHost: field({
    type: 'Host',
    description:
      'Make a host what is asked for; the same twice changes nothing. Its certificate is issued and delivered right after',
    needs: writesHosts,
    args: { tenant: Name, name: HostnameText, spec: HostSpec, ifMatch, ifNoneMatch, ...dryRun },
    resolve: async (_: unknown, { tenant, name, spec, ...given }, { ctx, actor }) => {
      const expected = expecting(given, versionedHost)
      const asked = { tenant, name, spec }
      return (await putHost(writing(ctx, { query: given }), actor, asked, expected)).host
    },
  }),
  removeHost: field({
    type: 'Host',
    description: 'Take a host off all its clusters; it is gone when host answers null',
    needs: writesHosts,
    args: { tenant: Name, name: HostnameText, ifMatch, ...dryRun },
    resolve: async (_: unknown, { tenant, name, ...given }, { ctx, actor }) => {
      const expected = expecting(given, versionedHost)
      const on = writing(ctx, { query: given })
      return (await retireHost(on, actor, { tenant, name }, expected)).host
    },
  }),
  issueCertificate: field({
    type: 'Certificate',
    description:
      'Issue a certificate, for a key made here or for that of a CSR. A key made here is handed out by REST alone, with the bundle',
    needs: writesCertificates,
    args: { tenant: Name, certificate: NewCertificate, ...once, ...dryRun },
    resolve: (
      _: unknown,
      { tenant, certificate: request, idempotencyKey, ...query },
      { ctx, actor },
    ) => issueCertificate(writing(ctx, { query }), actor, { tenant, request, idempotencyKey }),
  }),
  renewCertificate: field({
    type: 'Certificate',
    description:
      'Replace a certificate by one of the same names, under the rules of today, and answer that one',
    needs: writesCertificates,
    args: { tenant: Name, id: Id, ...Renewal.properties, ...once, ...dryRun },
    resolve: (_: unknown, { tenant, id, csr, idempotencyKey, ...query }, { ctx, actor }) =>
      renewCertificate(writing(ctx, { query }), actor, { tenant, id, csr, idempotencyKey }),
  }),
  revokeCertificate: field({
    type: 'Certificate',
    description: 'Revoke a certificate; once more changes nothing',
    needs: writesCertificates,
    args: { tenant: Name, id: Id, ...CertificateRevocation.properties, ...dryRun },
    resolve: (
      _: unknown,
      { tenant, id, reason = 'unspecified', proof, ...query },
      { ctx, actor },
    ) => revokeCertificate(writing(ctx, { query }), actor, { tenant, id, reason, proof }),
  }),
}

/** What can be changed: one after the other, in the order of the request; what one is refused leaves those before it
 *  done, and the next are tried. */
export const mutation: Shape = {
  name: 'Mutation',
  schema: closed({}, { description: 'What can be changed, one after the other in their order' }),
  fields,
}

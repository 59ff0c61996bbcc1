import Type from 'typebox'
import { getBundle } from '../../certificates/bundle.ts'
import {
  Certificate,
  CertificateRevocation,
  NewCertificate,
  Renewal,
} from '../../certificates/certificate.ts'
import { CertificatePatch, changeCertificate } from '../../certificates/change.ts'
import { getCertificate, listAllCertificates, listCertificates } from '../../certificates/find.ts'
import { issueCertificate } from '../../certificates/issuance/issue.ts'
import { certificateLineage, LineageQuery } from '../../certificates/lineage.ts'
import { renewCertificate } from '../../certificates/renewal/renew.ts'
import { revokeCertificate } from '../../certificates/revocation/revoke.ts'
import { CertificateFilter } from '../../certificates/search/filter.ts'
import { removeUpload } from '../../certificates/uploads/remove.ts'
import { NewUpload } from '../../certificates/uploads/schema.ts'
import { uploadCertificate } from '../../certificates/uploads/take.ts'
import { ListOf } from '../../shared/lists/query.ts'
import {
  BundlePassword,
  closed,
  Id,
  Name,
  Octets,
  PageOf,
  StoreCompatibility,
} from '../../shared/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { idempotencyKey, idempotent } from '../idempotency.ts'
import { MergePatch, mergeInto } from '../mergepatch.ts'
import { DryRun, writing } from '../rehearsal.ts'

const tags = ['certificates']

/** What of it can be written. */
const versioned = Object.keys(CertificatePatch.properties)
const one = closed({ tenant: Name, id: Id })
const Lineage = closed(PageOf(Certificate).properties, { title: 'CertificateLineage' })

/** /v1/tenants/{tenant}/certificates, and /v1/certificates across tenants */
export const certificates: Routes = {
  createTenantCertificate(api, ctx) {
    api.post(
      '/tenants/:tenant/certificates',
      {
        config: {
          idempotent: true,
          needs: 'write-certificates',
          problems: [
            'tenant-unknown',
            'authority-unknown',
            'certificate-refused',
            'authority-keyless',
            'key-refused',
            'quota-exceeded',
            'busy',
          ],
        },
        schema: {
          tags,
          summary: 'Issue a certificate, for a key made here or for that of a CSR',
          description:
            'For a key made here the key is handed out once, with the bundle. For a CSR of your own only the names and the key of the CSR are taken.',
          params: closed({ tenant: Name }),
          querystring: DryRun,
          body: NewCertificate,
          response: { 201: Certificate },
        },
      },
      async (request, reply) => {
        const { tenant } = request.params
        const input = { tenant, request: request.body, idempotencyKey: idempotencyKey(request) }
        return reply
          .code(201)
          .send(await issueCertificate(writing(ctx, request), actorOf(request), input))
      },
    )
  },

  importTenantCertificate(api, ctx) {
    api.post(
      // Two colons are one (AIP-136): "import" under certificates would be taken for an id.
      '/tenants/:tenant/certificates::import',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-certificates',
          problems: [
            'tenant-unknown',
            'certificate-unknown',
            'certificate-refused',
            'certificate-ordered',
            'certificate-replaced',
            'quota-exceeded',
            'busy',
          ],
        },
        schema: {
          tags,
          summary:
            'Upload a certificate of a CA elsewhere with its private key, for hosts to serve',
          description:
            'PEM or a PKCS#12 store. Its chain is built and checked; the root is not served. Hosts name it by certificate.uploaded. With replaces it takes the place of another one, whose hosts have it from then on. It is not renewed here. The same certificate once more is answered as it is (200), with the chain that it came with last.',
          params: closed({ tenant: Name }),
          querystring: DryRun,
          body: NewUpload,
          response: { 200: Certificate, 201: Certificate },
        },
      },
      async (request, reply) => {
        const { tenant } = request.params
        const asked = { tenant, request: request.body }
        const { certificate, created } = await uploadCertificate(
          writing(ctx, request),
          actorOf(request),
          asked,
        )
        return reply.code(created ? 201 : 200).send(certificate)
      },
    )
  },

  deleteTenantCertificate(api, ctx) {
    api.delete(
      '/tenants/:tenant/certificates/:id',
      {
        config: {
          needs: 'write-certificates',
          problems: ['tenant-unknown', 'certificate-unknown', 'certificate-in-use'],
        },
        schema: {
          tags,
          summary: 'Remove an uploaded certificate that no host uses, and its key',
          description:
            'Those that were issued here stay on record: revoke them. One that a host names, or has in use, is not removed.',
          params: one,
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await removeUpload(writing(ctx, request), actorOf(request), request.params)
        return reply.code(204).send(null)
      },
    )
  },

  listTenantCertificates(api, ctx) {
    api.get(
      '/tenants/:tenant/certificates',
      {
        config: {
          needs: 'read',
          problems: ['tenant-unknown', 'authority-unknown', 'cursor-refused'],
        },
        schema: {
          tags,
          summary: 'List the certificates of a tenant, soonest end first',
          description:
            'Filters are joined by and; a search that no index serves is refused. With limit and cursor; nextCursor is null on the last page.',
          params: closed({ tenant: Name }),
          querystring: CertificateFilter,
          response: { 200: ListOf(Certificate) },
        },
      },
      (request) =>
        listCertificates(ctx, actorOf(request), {
          ...request.query,
          tenant: request.params.tenant,
        }),
    )
  },

  getTenantCertificate(api, ctx) {
    api.get(
      '/tenants/:tenant/certificates/:id',
      {
        config: { needs: 'read', versioned, problems: ['tenant-unknown', 'certificate-unknown'] },
        schema: {
          tags,
          summary: 'Read a certificate',
          description: 'Its names, its status, and which certificates came before and after it.',
          params: one,
          response: { 200: Certificate },
        },
      },
      (request) => getCertificate(ctx, actorOf(request), request.params),
    )
  },

  getTenantCertificateLineage(api, ctx) {
    api.get(
      '/tenants/:tenant/certificates/:id/lineage',
      {
        config: {
          needs: 'read',
          problems: ['tenant-unknown', 'certificate-unknown', 'cursor-refused'],
        },
        schema: {
          tags,
          summary: 'What a certificate replaced, one after the other, or what took its place',
          description:
            'It comes first itself. With limit and cursor; nextCursor is null on the last page. A page costs the same wherever it is.',
          params: one,
          querystring: LineageQuery,
          response: { 200: Lineage },
        },
      },
      (request) =>
        certificateLineage(ctx, actorOf(request), { ...request.query, ...request.params }),
    )
  },

  updateTenantCertificate(api, ctx) {
    api.patch(
      '/tenants/:tenant/certificates/:id',
      {
        config: {
          needs: 'write-certificates',
          versioned,
          problems: ['tenant-unknown', 'certificate-unknown', 'certificate-refused'],
        },
        schema: {
          tags,
          consumes: ['application/merge-patch+json', 'application/json'],
          summary: 'Change whether it is renewed by itself, or its labels',
          description: 'A merge patch (RFC 7396): what is left out stays, null takes a label away.',
          params: one,
          querystring: DryRun,
          body: MergePatch,
          response: { 200: Certificate },
        },
      },
      (request) =>
        mergeInto(request, {
          schema: CertificatePatch,
          read: () => getCertificate(ctx, actorOf(request), request.params),
          write: (patch, expected) =>
            changeCertificate(
              writing(ctx, request),
              actorOf(request),
              { ...request.params, patch },
              expected,
            ),
        }),
    )
  },

  renewTenantCertificate(api, ctx) {
    api.post(
      '/tenants/:tenant/certificates/:id/renew',
      {
        config: {
          idempotent: true,
          needs: 'write-certificates',
          problems: [
            'tenant-unknown',
            'certificate-unknown',
            'authority-unknown',
            'certificate-unfinished',
            'certificate-replaced',
            'certificate-uploaded',
            'certificate-refused',
            'authority-keyless',
            'key-refused',
            'quota-exceeded',
            'busy',
          ],
        },
        schema: {
          tags,
          summary: 'Replace a certificate by one of the same names, under the rules of today',
          description:
            'With a new key made here, or for that of a new CSR; one of a host is replaced on its clusters. What it replaces stays valid until it ends or is revoked.',
          params: one,
          querystring: DryRun,
          body: Type.Union([Renewal, Type.Null()]),
          response: { 201: Certificate },
        },
      },
      async (request, reply) => {
        const asked = { ...request.params, csr: request.body?.csr }
        const idempotent = { ...asked, idempotencyKey: idempotencyKey(request) }
        return reply
          .code(201)
          .send(await renewCertificate(writing(ctx, request), actorOf(request), idempotent))
      },
    )
  },

  revokeTenantCertificate(api, ctx) {
    api.post(
      '/tenants/:tenant/certificates/:id/revoke',
      {
        config: {
          needs: 'write-certificates',
          problems: [
            'tenant-unknown',
            'certificate-unknown',
            'certificate-expired',
            'certificate-uploaded',
          ],
        },
        schema: {
          tags,
          summary: 'Revoke a certificate; once more changes nothing',
          description:
            'It is on the revocation list and at the OCSP responder at once, and gateways that serve MUTUAL hosts get the list pushed. An operator of the tenant may revoke; for keyCompromise, a proof is kept with it.',
          params: one,
          querystring: DryRun,
          body: CertificateRevocation,
          response: { 200: Certificate },
        },
      },
      (request) => {
        const { reason = 'unspecified', proof } = request.body
        return revokeCertificate(writing(ctx, request), actorOf(request), {
          ...request.params,
          reason,
          proof,
        })
      },
    )
  },

  getTenantCertificateBundle(api, ctx) {
    api.get(
      '/tenants/:tenant/certificates/:id/bundle',
      {
        config: {
          needs: 'read',
          bears: ['Content-Disposition'],
          problems: [
            'tenant-unknown',
            'certificate-unknown',
            'certificate-unfinished',
            'key-absent',
            'key-withheld',
            'key-downloaded',
            'busy',
          ],
        },
        schema: {
          tags,
          summary:
            'Download a certificate with its chain, and the key made here if asked for, once',
          description:
            'pem: leaf first, then the intermediates, then the key if asked for; der: the leaf alone; p12: all of it and the key, under the password in X-Bundle-Password (printable ASCII). A private key is handed out once; an admin may take it again. The key of a certificate made for a host is not handed out.',
          params: one,
          querystring: closed({
            format: Type.Optional(Type.Enum(['pem', 'der', 'p12'], { title: 'BundleFormat' })),
            privateKey: Type.Optional(Type.Boolean({ description: 'Add the private key (false)' })),
            compatibility: Type.Optional(StoreCompatibility),
          }),
          headers: BundlePassword,
          response: {
            200: {
              description: 'In the format asked for',
              content: {
                'application/pem-certificate-chain': { schema: Octets },
                'application/pkix-cert': { schema: Octets },
                'application/x-pkcs12': { schema: Octets },
              },
            },
          },
        },
      },
      async (request, reply) => {
        const { privateKey = false, format, compatibility } = request.query
        const password = request.headers['x-bundle-password']
        const ask = { ...request.params, format, privateKey, password, compatibility }
        const { mediaType, fileName, body } = await getBundle(ctx, actorOf(request), ask)
        return reply
          .type(mediaType)
          .header('content-disposition', `attachment; filename="${fileName}"`)
          .send(body)
      },
    )
  },

  listCertificates(api, ctx) {
    api.get(
      '/certificates',
      {
        config: {
          needs: 'read',
          platform: true,
          problems: ['tenant-unknown', 'authority-unknown', 'cursor-refused'],
        },
        schema: {
          tags,
          summary: 'List certificates of every tenant, soonest end first',
          description:
            'Across all tenants. Filters are joined by and; a search that no index serves is refused. With limit and cursor; nextCursor is null on the last page.',
          querystring: CertificateFilter,
          response: { 200: ListOf(Certificate) },
        },
      },
      (request) => listAllCertificates(ctx, actorOf(request), request.query),
    )
  },
}

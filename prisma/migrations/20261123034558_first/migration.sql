-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "tenant" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "displayName" TEXT NOT NULL,
    "domains" TEXT[],
    "namespaces" TEXT[],
    "policy" JSONB NOT NULL DEFAULT '{}',
    "defaultAuthorityId" UUID,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "tenant_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_key" (
    "id" UUID NOT NULL,
    "tenantId" UUID,
    "name" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "tokenHash" BYTEA NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3),
    "revokedAt" TIMESTAMPTZ(3),

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "authority" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "tenantId" UUID,
    "parentId" UUID,
    "crlShards" INTEGER NOT NULL DEFAULT 1,
    "outlive" TEXT NOT NULL,
    "maxValidityDays" INTEGER,
    "defaultValidityDays" INTEGER,
    "profiles" TEXT[],
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "authority_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "rotation" (
    "id" UUID NOT NULL,
    "authorityId" UUID NOT NULL,
    "fromId" UUID NOT NULL,
    "toId" UUID NOT NULL,
    "step" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "settledAt" TIMESTAMPTZ(3),
    "startedAt" TIMESTAMPTZ(3) NOT NULL,
    "deadline" TIMESTAMPTZ(3) NOT NULL,
    "retiredBy" TEXT,

    CONSTRAINT "rotation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "authority_key" (
    "id" UUID NOT NULL,
    "algorithm" TEXT NOT NULL,
    "spki" BYTEA NOT NULL,
    "spkiSha256" TEXT NOT NULL,
    "store" TEXT NOT NULL,
    "uri" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "authority_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "authority_secret" (
    "keyId" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "authority_secret_pkey" PRIMARY KEY ("keyId")
);

-- CreateTable
CREATE TABLE "blocked_key" (
    "spkiSha256" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "by" TEXT NOT NULL,

    CONSTRAINT "blocked_key_pkey" PRIMARY KEY ("spkiSha256")
);

-- CreateTable
CREATE TABLE "revocation_list" (
    "keyId" UUID NOT NULL,
    "shard" INTEGER NOT NULL,
    "revision" BIGINT NOT NULL DEFAULT 0,
    "shown" BIGINT,
    "reserved" BIGINT NOT NULL DEFAULT 0,
    "number" BIGINT,
    "thisUpdate" TIMESTAMPTZ(0),
    "nextUpdate" TIMESTAMPTZ(0),

    CONSTRAINT "revocation_list_pkey" PRIMARY KEY ("keyId","shard")
);

-- CreateTable
CREATE TABLE "signed_list" (
    "keyId" UUID NOT NULL,
    "shard" INTEGER NOT NULL,
    "number" BIGINT NOT NULL,
    "der" BYTEA NOT NULL,

    CONSTRAINT "signed_list_pkey" PRIMARY KEY ("keyId","shard","number")
);

-- CreateTable
CREATE TABLE "responder" (
    "id" UUID NOT NULL,
    "keyId" UUID NOT NULL,
    "serial" TEXT NOT NULL,
    "notBefore" TIMESTAMPTZ(0) NOT NULL,
    "notAfter" TIMESTAMPTZ(0) NOT NULL,
    "tbs" BYTEA,
    "der" BYTEA,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "responder_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "responder_secret" (
    "responderId" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "responder_secret_pkey" PRIMARY KEY ("responderId")
);

-- CreateTable
CREATE TABLE "issuer" (
    "id" UUID NOT NULL,
    "authorityId" UUID NOT NULL,
    "keyId" UUID NOT NULL,
    "parentId" UUID,
    "serial" TEXT NOT NULL,
    "subject" JSONB NOT NULL,
    "der" BYTEA NOT NULL,
    "anchor" BYTEA NOT NULL,
    "fingerprintSha256" TEXT NOT NULL,
    "notBefore" TIMESTAMPTZ(0) NOT NULL,
    "notAfter" TIMESTAMPTZ(0) NOT NULL,
    "issues" BOOLEAN NOT NULL,
    "trusted" BOOLEAN NOT NULL DEFAULT true,
    "served" BOOLEAN NOT NULL DEFAULT false,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "issuer_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "certificate" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "authorityId" UUID NOT NULL,
    "issuerId" UUID NOT NULL,
    "hostId" UUID,
    "profile" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "serial" TEXT NOT NULL,
    "subject" JSONB NOT NULL,
    "commonName" TEXT,
    "dnsNames" TEXT[],
    "ipAddresses" TEXT[],
    "emailAddresses" TEXT[],
    "uris" TEXT[],
    "keyAlgorithm" TEXT NOT NULL,
    "spkiSha256" TEXT NOT NULL,
    "keySource" TEXT NOT NULL,
    "notBefore" TIMESTAMPTZ(0) NOT NULL,
    "notAfter" TIMESTAMPTZ(0) NOT NULL,
    "tbs" BYTEA,
    "der" BYTEA,
    "fingerprintSha256" TEXT,
    "replacesId" UUID,
    "reason" TEXT,
    "renewAt" TIMESTAMPTZ(0),
    "autoRenew" BOOLEAN NOT NULL DEFAULT false,
    "renewFailures" INTEGER NOT NULL DEFAULT 0,
    "renewAfter" TIMESTAMPTZ(3),
    "renewError" TEXT,
    "replacementId" UUID,
    "cause" TEXT NOT NULL,
    "requestKey" BYTEA,
    "requestHash" BYTEA,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "crlShard" INTEGER NOT NULL DEFAULT 1,
    "revokedAt" TIMESTAMPTZ(0),
    "revocationReason" TEXT,

    CONSTRAINT "certificate_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "replacement" (
    "id" UUID NOT NULL,
    "tenantId" UUID,
    "reason" TEXT NOT NULL,
    "explanationUrl" TEXT,
    "where" JSONB NOT NULL,
    "revoke" BOOLEAN NOT NULL,
    "orderedBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "until" TIMESTAMPTZ(3) NOT NULL,
    "chosenTo" UUID,
    "chosenAt" TIMESTAMPTZ(3),
    "doneAt" TIMESTAMPTZ(3),

    CONSTRAINT "replacement_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "certificate_secret" (
    "certificateId" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,
    "takenAt" TIMESTAMPTZ(3),

    CONSTRAINT "certificate_secret_pkey" PRIMARY KEY ("certificateId")
);

-- CreateTable
CREATE TABLE "cluster" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "server" TEXT NOT NULL,
    "ingressNamespace" TEXT NOT NULL,
    "ingressSelector" JSONB NOT NULL,
    "ingressAddress" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "message" TEXT,
    "kubernetes" TEXT,
    "checkedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "cluster_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "cluster_credential" (
    "clusterId" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "cluster_credential_pkey" PRIMARY KEY ("clusterId")
);

-- CreateTable
CREATE TABLE "host" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "spec" JSONB NOT NULL,
    "generation" INTEGER NOT NULL,
    "certificateId" UUID,
    "certifyFailures" INTEGER NOT NULL DEFAULT 0,
    "removedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "host_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "placement" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "hostId" UUID NOT NULL,
    "clusterId" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "wanted" BOOLEAN NOT NULL,
    "status" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "message" TEXT,
    "warnings" TEXT[],
    "generation" INTEGER,
    "certificateId" UUID,
    "trust" TEXT,
    "objects" JSONB NOT NULL DEFAULT '[]',

    CONSTRAINT "placement_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "recheck" (
    "what" TEXT NOT NULL,
    "newest" UUID,
    "rolling" UUID,

    CONSTRAINT "recheck_pkey" PRIMARY KEY ("what")
);

-- CreateTable
CREATE TABLE "audit_event" (
    "seq" BIGSERIAL NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "actorKind" TEXT NOT NULL,
    "actorId" TEXT,
    "actorName" TEXT NOT NULL,
    "requestId" TEXT,
    "tenantId" UUID,
    "action" TEXT NOT NULL,
    "subjectKind" TEXT NOT NULL,
    "subjectId" TEXT NOT NULL,
    "subjectName" TEXT NOT NULL,
    "changes" JSONB NOT NULL,

    CONSTRAINT "audit_event_pkey" PRIMARY KEY ("seq")
);

-- CreateTable
CREATE TABLE "idempotency_key" (
    "scope" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "request" BYTEA NOT NULL,
    "status" INTEGER NOT NULL,
    "sealed" BYTEA NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_key_pkey" PRIMARY KEY ("scope","key")
);

-- CreateIndex
CREATE UNIQUE INDEX "tenant_name_key" ON "tenant"("name");

-- CreateIndex
CREATE INDEX "tenant_domains_idx" ON "tenant" USING GIN ("domains");

-- CreateIndex
CREATE UNIQUE INDEX "api_key_tokenHash_key" ON "api_key"("tokenHash");

-- CreateIndex
CREATE INDEX "api_key_tenantId_createdAt_id_idx" ON "api_key"("tenantId", "createdAt", "id");

-- CreateIndex
CREATE UNIQUE INDEX "authority_name_key" ON "authority"("name");

-- CreateIndex
CREATE INDEX "blocked_key_since_spkiSha256_idx" ON "blocked_key"("since", "spkiSha256");

-- CreateIndex
CREATE UNIQUE INDEX "authority_key_spkiSha256_key" ON "authority_key"("spkiSha256");

-- CreateIndex
CREATE UNIQUE INDEX "responder_serial_key" ON "responder"("serial");

-- CreateIndex
CREATE INDEX "responder_keyId_notAfter_idx" ON "responder"("keyId", "notAfter");

-- CreateIndex
CREATE UNIQUE INDEX "issuer_fingerprintSha256_key" ON "issuer"("fingerprintSha256");

-- CreateIndex
CREATE INDEX "issuer_authorityId_idx" ON "issuer"("authorityId");

-- CreateIndex
CREATE INDEX "issuer_keyId_idx" ON "issuer"("keyId");

-- CreateIndex
CREATE INDEX "rotation_authorityId_startedAt_idx" ON "rotation"("authorityId", "startedAt");

-- CreateIndex
CREATE INDEX "replacement_createdAt_id_idx" ON "replacement"("createdAt", "id");

-- CreateIndex
CREATE UNIQUE INDEX "certificate_requestKey_key" ON "certificate"("requestKey");

-- CreateIndex
CREATE UNIQUE INDEX "certificate_serial_key" ON "certificate"("serial");

-- CreateIndex
CREATE INDEX "certificate_tenantId_notAfter_id_idx" ON "certificate"("tenantId", "notAfter", "id");

-- CreateIndex
CREATE INDEX "certificate_notAfter_id_idx" ON "certificate"("notAfter", "id");

-- CreateIndex
CREATE INDEX "certificate_hostId_idx" ON "certificate"("hostId");

-- CreateIndex
CREATE INDEX "certificate_spkiSha256_idx" ON "certificate"("spkiSha256");

-- CreateIndex
CREATE UNIQUE INDEX "certificate_tenantId_id_key" ON "certificate"("tenantId", "id");

-- CreateIndex
CREATE UNIQUE INDEX "cluster_name_key" ON "cluster"("name");

-- CreateIndex
CREATE UNIQUE INDEX "host_tenantId_name_key" ON "host"("tenantId", "name");

-- CreateIndex
CREATE UNIQUE INDEX "host_tenantId_id_key" ON "host"("tenantId", "id");

-- CreateIndex
CREATE INDEX "placement_tenantId_hostId_idx" ON "placement"("tenantId", "hostId");

-- CreateIndex
CREATE UNIQUE INDEX "placement_clusterId_name_key" ON "placement"("clusterId", "name");

-- CreateIndex
CREATE INDEX "audit_event_tenantId_seq_idx" ON "audit_event"("tenantId", "seq");

-- CreateIndex
CREATE INDEX "audit_event_subjectKind_subjectId_seq_idx" ON "audit_event"("subjectKind", "subjectId", "seq");

-- CreateIndex
CREATE INDEX "idempotency_key_createdAt_idx" ON "idempotency_key"("createdAt");

-- AddForeignKey
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_defaultAuthorityId_fkey" FOREIGN KEY ("defaultAuthorityId") REFERENCES "authority"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "authority" ADD CONSTRAINT "authority_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "authority" ADD CONSTRAINT "authority_parentId_fkey" FOREIGN KEY ("parentId") REFERENCES "authority"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "authority_secret" ADD CONSTRAINT "authority_secret_keyId_fkey" FOREIGN KEY ("keyId") REFERENCES "authority_key"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "revocation_list" ADD CONSTRAINT "revocation_list_keyId_fkey" FOREIGN KEY ("keyId") REFERENCES "authority_key"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "signed_list" ADD CONSTRAINT "signed_list_keyId_shard_fkey" FOREIGN KEY ("keyId", "shard") REFERENCES "revocation_list"("keyId", "shard") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "responder" ADD CONSTRAINT "responder_keyId_fkey" FOREIGN KEY ("keyId") REFERENCES "authority_key"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "responder_secret" ADD CONSTRAINT "responder_secret_responderId_fkey" FOREIGN KEY ("responderId") REFERENCES "responder"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "issuer" ADD CONSTRAINT "issuer_authorityId_fkey" FOREIGN KEY ("authorityId") REFERENCES "authority"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "issuer" ADD CONSTRAINT "issuer_keyId_fkey" FOREIGN KEY ("keyId") REFERENCES "authority_key"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "issuer" ADD CONSTRAINT "issuer_parentId_fkey" FOREIGN KEY ("parentId") REFERENCES "issuer"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_authorityId_fkey" FOREIGN KEY ("authorityId") REFERENCES "authority"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_issuerId_fkey" FOREIGN KEY ("issuerId") REFERENCES "issuer"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "certificate_secret" ADD CONSTRAINT "certificate_secret_certificateId_fkey" FOREIGN KEY ("certificateId") REFERENCES "certificate"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "cluster_credential" ADD CONSTRAINT "cluster_credential_clusterId_fkey" FOREIGN KEY ("clusterId") REFERENCES "cluster"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "host" ADD CONSTRAINT "host_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "host" ADD CONSTRAINT "host_tenantId_certificateId_fkey" FOREIGN KEY ("tenantId", "certificateId") REFERENCES "certificate"("tenantId", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "placement" ADD CONSTRAINT "placement_tenantId_hostId_fkey" FOREIGN KEY ("tenantId", "hostId") REFERENCES "host"("tenantId", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "placement" ADD CONSTRAINT "placement_clusterId_fkey" FOREIGN KEY ("clusterId") REFERENCES "cluster"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_tenantId_replacesId_fkey" FOREIGN KEY ("tenantId", "replacesId") REFERENCES "certificate"("tenantId", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_replacementId_fkey" FOREIGN KEY ("replacementId") REFERENCES "replacement"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "rotation" ADD CONSTRAINT "rotation_authorityId_fkey" FOREIGN KEY ("authorityId") REFERENCES "authority"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "rotation" ADD CONSTRAINT "rotation_fromId_fkey" FOREIGN KEY ("fromId") REFERENCES "issuer"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "rotation" ADD CONSTRAINT "rotation_toId_fkey" FOREIGN KEY ("toId") REFERENCES "issuer"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What schema.prisma cannot say.

-- An authority changes from one key to one other at a time.
CREATE UNIQUE INDEX "rotation_authorityId_key" ON "rotation"("authorityId") WHERE "step" <> 'done';
ALTER TABLE "rotation" ADD CONSTRAINT "rotation_step_check" CHECK ("step" IN ('trust', 'leaves', 'clients', 'distrust', 'done'));

-- What is to be renewed by itself, soonest first; what came in the place of a certificate; what an order
-- has chosen.
CREATE INDEX "certificate_renewAt_idx" ON "certificate"("renewAt") WHERE "autoRenew";
CREATE INDEX "certificate_replacesId_idx" ON "certificate"("replacesId") WHERE "replacesId" IS NOT NULL;
CREATE INDEX "certificate_replacementId_idx" ON "certificate"("replacementId") WHERE "replacementId" IS NOT NULL;

-- One issuer certificate of an authority signs new leaves.
CREATE UNIQUE INDEX "issuer_authorityId_issues_key" ON "issuer"("authorityId") WHERE "issues";

-- Among the keys in force a name belongs to one, in a tenant and platform-wide.
CREATE UNIQUE INDEX "api_key_tenantId_name_key" ON "api_key"("tenantId", "name") NULLS NOT DISTINCT WHERE "revokedAt" IS NULL;

-- What issuing left unfinished, for `certificates.finish`. Not by status: the statement that activates rows
-- asks for the status, and would then read this index, with all that has left it, instead of the rows.
CREATE INDEX "certificate_signing_idx" ON "certificate"("createdAt") WHERE "tbs" IS NOT NULL;

-- The entries of a revocation list, page by page.
CREATE INDEX "certificate_revoked_idx" ON "certificate"("issuerId", "crlShard", "serial") WHERE "status" = 'revoked';

-- Lists do not compress.
ALTER TABLE "signed_list" ALTER COLUMN "der" SET STORAGE EXTERNAL;

-- Lists of placements that want work.
CREATE INDEX "placement_status_idx" ON "placement"("status") WHERE "status" <> 'Synced';

ALTER TABLE "authority" ADD CONSTRAINT "authority_kind_check" CHECK ("kind" IN ('root', 'intermediate'));
ALTER TABLE "authority" ADD CONSTRAINT "authority_outlive_check" CHECK ("outlive" IN ('truncate', 'refuse'));
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_role_check" CHECK ("role" IN ('admin', 'operator', 'viewer', 'auditor'));
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_status_check" CHECK ("status" IN ('signing', 'active', 'revoked'));
-- RFC 5280 4.1.2.2: positive, at most 20 octets.
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_serial_check" CHECK ("serial" ~ '^[0-7][0-9a-f]{31,39}$');
ALTER TABLE "authority" ADD CONSTRAINT "authority_crlShards_check" CHECK ("crlShards" BETWEEN 1 AND 256);
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_crlShard_check" CHECK ("crlShard" BETWEEN 1 AND 256);
-- RFC 5280 5.2.3: numbers only go up, however many replicas publish.
CREATE FUNCTION "revocation_list_goes_up"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW."number" <= OLD."number" THEN
    RAISE EXCEPTION 'revocation list %/% has number % already', OLD."keyId", OLD."shard", OLD."number";
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "revocation_list_goes_up" BEFORE UPDATE OF "number" ON "revocation_list"
  FOR EACH ROW EXECUTE FUNCTION "revocation_list_goes_up"();
-- A certificate that is out has been recorded whole.
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_der_check" CHECK (("status" = 'signing') = ("der" IS NULL));
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_revoked_check" CHECK (("status" = 'revoked') = ("revokedAt" IS NOT NULL));
ALTER TABLE "placement" ADD CONSTRAINT "placement_status_check" CHECK ("status" IN ('Pending', 'Synced', 'Failed', 'Conflict'));

-- An audit trail is written once.
CREATE FUNCTION "audit_event_is_final"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit_event rows are never changed or removed';
END $$;
CREATE TRIGGER "audit_event_is_final" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_event"
  FOR EACH STATEMENT EXECUTE FUNCTION "audit_event_is_final"();

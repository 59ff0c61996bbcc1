-- 1 to 256 are the lists that server certificates of an authority share.
CREATE SEQUENCE "tenant_crlShard_seq" AS INTEGER START WITH 257;
ALTER TABLE "tenant" ADD COLUMN "crlShard" INTEGER NOT NULL DEFAULT nextval('"tenant_crlShard_seq"');
ALTER SEQUENCE "tenant_crlShard_seq" OWNED BY "tenant"."crlShard";
CREATE UNIQUE INDEX "tenant_crlShard_key" ON "tenant"("crlShard");
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_crlShard_check" CHECK ("crlShard" > 256);

ALTER TABLE "certificate" DROP CONSTRAINT "certificate_crlShard_check";
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_crlShard_check" CHECK ("crlShard" >= 1);

-- Client certificates that name a list which server certificates share: those that were issued before.
CREATE INDEX "certificate_shared_list_idx" ON "certificate"("issuerId", "crlShard", "tenantId")
  WHERE "crlShard" <= 256 AND "profile" IN ('client', 'peer');

ALTER TABLE "authority" ADD COLUMN "listOverflow" TEXT NOT NULL DEFAULT 'refuse';
ALTER TABLE "authority" ADD CONSTRAINT "authority_listOverflow_check" CHECK ("listOverflow" IN ('refuse', 'tell'));

ALTER TABLE "revocation_list" ADD COLUMN "entries" INTEGER,
ADD COLUMN "octets" INTEGER,
ADD COLUMN "alarm" TEXT,
ADD COLUMN "fitted" BIGINT,
ADD COLUMN "fittedUntil" TIMESTAMPTZ(6);
ALTER TABLE "revocation_list" ADD CONSTRAINT "revocation_list_alarm_check" CHECK ("alarm" IN ('near', 'over'));

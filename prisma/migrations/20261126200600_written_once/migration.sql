-- What is to be finished after a crash is told by a table of its own, and what is revoked by "revokedAt": an index
-- about "tbs" or "status" is written anew, and with it all others of the certificate, when it is signed (see
-- certificate_search). No foreign key, as with fingerprints.
CREATE TABLE "certificate_signing" (
    "certificateId" UUID NOT NULL,

    CONSTRAINT "certificate_signing_pkey" PRIMARY KEY ("certificateId")
);
INSERT INTO "certificate_signing" SELECT "id" FROM "certificate" WHERE "tbs" IS NOT NULL;
DROP INDEX "certificate_signing_idx";

DROP INDEX "certificate_revoked_idx";
CREATE INDEX "certificate_revoked_idx" ON "certificate"("issuerId", "crlShard", "serial")
  WHERE "revokedAt" IS NOT NULL;

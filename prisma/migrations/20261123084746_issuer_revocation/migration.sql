-- AlterTable
ALTER TABLE "issuer" ADD COLUMN     "revocationReason" TEXT,
ADD COLUMN     "revokedAt" TIMESTAMPTZ(0);

-- What schema.prisma cannot say.

ALTER TABLE "issuer" ADD CONSTRAINT "issuer_revoked_check" CHECK (("revokedAt" IS NULL) = ("revocationReason" IS NULL));
-- What is revoked signs nothing new.
ALTER TABLE "issuer" ADD CONSTRAINT "issuer_issues_check" CHECK (NOT ("issues" AND "revokedAt" IS NOT NULL));

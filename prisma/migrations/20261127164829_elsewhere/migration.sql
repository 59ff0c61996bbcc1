-- A certificate that a CA elsewhere signed is on record with the chain that it came with, instead of an issuer of ours.
ALTER TABLE "certificate" ALTER COLUMN "issuerId" DROP NOT NULL,
  ADD COLUMN "chainPem" TEXT,
  ADD COLUMN "anchorPem" TEXT,
  ADD CONSTRAINT "certificate_chain" CHECK ("issuerId" IS NULL OR "chainPem" IS NULL) NOT VALID;
ALTER TABLE "certificate" VALIDATE CONSTRAINT "certificate_chain";

-- What was pushed is proved by a step of its own.
ALTER TABLE "placement" ADD COLUMN "appliedAt" TIMESTAMPTZ(3),
ADD COLUMN "appliedTrust" TEXT,
ADD COLUMN "proofWarnings" TEXT[];
UPDATE "placement" SET "appliedTrust" = "trust";
ALTER TABLE "placement" DROP CONSTRAINT "placement_status_check";
ALTER TABLE "placement" ADD CONSTRAINT "placement_status_check"
  CHECK ("status" IN ('Pending', 'Applied', 'Synced', 'Failed', 'Conflict'));

-- AlterTable
ALTER TABLE "tenant" ADD COLUMN     "foldedName" TEXT;
-- As src/words/spelling.ts does it: what nobody sees is gone, what looks alike is alike.
UPDATE "tenant" SET "foldedName" = btrim(regexp_replace(lower(normalize(regexp_replace("displayName",
  '[\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]', '', 'g'), NFKC)), '\s+', ' ', 'g'));
ALTER TABLE "tenant" ALTER COLUMN "foldedName" SET NOT NULL;

-- CreateIndex
CREATE INDEX "tenant_foldedName_idx" ON "tenant"("foldedName");

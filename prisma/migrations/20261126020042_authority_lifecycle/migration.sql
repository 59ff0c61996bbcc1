-- AlterTable
ALTER TABLE "authority" ADD COLUMN     "displayName" TEXT,
ADD COLUMN     "removedAt" TIMESTAMPTZ(3),
ADD COLUMN     "retiredAt" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "idempotency_key" ADD COLUMN     "about" UUID;

-- CreateIndex
CREATE INDEX "idempotency_key_about_idx" ON "idempotency_key"("about");

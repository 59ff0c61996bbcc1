-- What was found of a cluster item by item, and what tells it from all others; nothing, until it is looked at.
-- AlterTable
ALTER TABLE "cluster" ADD COLUMN     "checks" JSONB NOT NULL DEFAULT '[]',
ADD COLUMN     "examinedAt" TIMESTAMPTZ(3),
ADD COLUMN     "found" JSONB,
ADD COLUMN     "uid" TEXT;

-- CreateIndex
CREATE INDEX "cluster_uid_idx" ON "cluster"("uid");

-- AlterTable
ALTER TABLE "placement" ADD COLUMN     "holdsUntil" TIMESTAMPTZ(3),
ADD COLUMN     "provedAt" TIMESTAMPTZ(3);

-- What schema.prisma cannot say.

-- The placements to be looked at again, cluster by cluster.
CREATE INDEX "placement_provedAt_idx" ON "placement"("clusterId", "provedAt") WHERE "status" = 'Synced';

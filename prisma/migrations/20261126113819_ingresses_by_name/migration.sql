-- Further ingress gateways of a cluster, by name; none, as of clusters that are registered already.
ALTER TABLE "cluster" ADD COLUMN "ingresses" JSONB NOT NULL DEFAULT '{}';

-- By which one a host comes in. A name is unique to each ingress, no longer to each cluster.
ALTER TABLE "placement" ADD COLUMN "ingress" TEXT NOT NULL DEFAULT 'default';

CREATE UNIQUE INDEX "placement_clusterId_ingress_name_key" ON "placement"("clusterId", "ingress", "name");

-- What was unique stays findable, for the pages of a cluster's hosts.
DROP INDEX "placement_clusterId_name_key";

CREATE INDEX "placement_clusterId_name_idx" ON "placement"("clusterId", "name");

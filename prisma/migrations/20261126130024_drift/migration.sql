-- What is done where others change what was put on a cluster, how that is heard of, and when others last
-- changed what they have before an ingress there. Clusters that are registered repair it.
ALTER TABLE "cluster" ADD COLUMN     "drift" TEXT NOT NULL DEFAULT 'repair',
ADD COLUMN     "othersAt" TIMESTAMPTZ(3),
ADD COLUMN     "watch" JSONB;

-- What others have changed of a host and is left so, how often it was put right, and whether all of it is
-- to be overwritten.
ALTER TABLE "placement" ADD COLUMN     "drift" JSONB NOT NULL DEFAULT '[]',
ADD COLUMN     "repairs" JSONB NOT NULL DEFAULT '[]',
ADD COLUMN     "takeBack" BOOLEAN NOT NULL DEFAULT false;

-- How hosts may be served there; null: not known, as of placements that no worker of this release has seen.
ALTER TABLE "placement" ADD COLUMN "served" JSONB;

-- A key is recognised by how its token begins, tells who made it and when it was last used, may be narrowed to
-- scopes, and is given a new token while the one before is good for a while.
ALTER TABLE "api_key" ADD COLUMN "scopes" TEXT[] DEFAULT ARRAY[]::TEXT[],
  ADD COLUMN "tokenPrefix" TEXT,
  ADD COLUMN "formerHash" BYTEA,
  ADD COLUMN "formerUntil" TIMESTAMPTZ(3),
  ADD COLUMN "createdBy" TEXT,
  ADD COLUMN "rotatedAt" TIMESTAMPTZ(3),
  ADD COLUMN "lastUsedAt" TIMESTAMPTZ(3),
  ADD COLUMN "lastUsedFrom" TEXT;

CREATE UNIQUE INDEX "api_key_formerHash_key" ON "api_key"("formerHash");

-- Changes of an authority's key that one person asks for and another decides about (src/authorities/approvals/).
ALTER TABLE "authority" ADD COLUMN "approval" TEXT NOT NULL DEFAULT 'one-person';

CREATE TABLE "approval" (
    "id" UUID NOT NULL,
    "authorityId" UUID NOT NULL,
    "request" JSONB NOT NULL,
    "state" TEXT NOT NULL,
    "askedByKind" TEXT NOT NULL,
    "askedById" UUID NOT NULL,
    "askedByName" TEXT NOT NULL,
    "askedAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,
    "decidedByKind" TEXT,
    "decidedById" UUID,
    "decidedByName" TEXT,
    "decidedAt" TIMESTAMPTZ(3),

    CONSTRAINT "approval_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "approval_authorityId_askedAt_id_idx" ON "approval"("authorityId", "askedAt", "id");
ALTER TABLE "approval" ADD CONSTRAINT "approval_authorityId_fkey"
  FOREIGN KEY ("authorityId") REFERENCES "authority"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- A key is its maker's, too: the trail knows by whom those of before were made.
ALTER TABLE "api_key" ADD COLUMN "creatorId" UUID;
UPDATE "api_key" SET "creatorId" = (
  SELECT "actorId"::uuid FROM "audit_event"
  WHERE "subjectKind" = 'api-key' AND "subjectId" = "api_key"."id"::text
    AND "action" = 'api-key.created' AND "actorKind" = 'api-key'
  ORDER BY "seq" LIMIT 1
);

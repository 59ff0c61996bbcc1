-- CreateTable
CREATE TABLE "certified_key" (
    "spkiSha256" TEXT NOT NULL,
    "tenantId" UUID,

    CONSTRAINT "certified_key_pkey" PRIMARY KEY ("spkiSha256")
);

-- CreateIndex
CREATE INDEX "certified_key_tenantId_idx" ON "certified_key"("tenantId");

-- AddForeignKey
ALTER TABLE "certified_key" ADD CONSTRAINT "certified_key_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What schema.prisma cannot say.

-- Keys of authorities are no tenant's. Every other that came in a request is the first tenant's that had
-- it certified, by whichever way it came then.
INSERT INTO "certified_key" ("spkiSha256") SELECT "spkiSha256" FROM "authority_key";
INSERT INTO "certified_key" ("spkiSha256", "tenantId")
SELECT DISTINCT ON ("spkiSha256") "spkiSha256", "tenantId" FROM "certificate"
WHERE "spkiSha256" IN (SELECT "spkiSha256" FROM "certificate" WHERE "keySource" = 'caller')
ORDER BY "spkiSha256", "createdAt", "id"
ON CONFLICT ("spkiSha256") DO NOTHING;

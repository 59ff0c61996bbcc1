-- CreateTable
CREATE TABLE "session" (
    "hash" BYTEA NOT NULL,
    "actorId" UUID NOT NULL,
    "keyHash" BYTEA,
    "name" TEXT,
    "role" TEXT,
    "tenantId" UUID,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "usedAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "session_pkey" PRIMARY KEY ("hash")
);

-- CreateTable
CREATE TABLE "sign_in_code" (
    "hash" BYTEA NOT NULL,
    "keyHash" BYTEA NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "sign_in_code_pkey" PRIMARY KEY ("hash")
);

-- CreateIndex
CREATE INDEX "session_actorId_createdAt_idx" ON "session"("actorId", "createdAt");

-- CreateIndex
CREATE INDEX "session_expiresAt_idx" ON "session"("expiresAt");

-- CreateIndex
CREATE INDEX "session_tenantId_idx" ON "session"("tenantId");

-- CreateIndex
CREATE UNIQUE INDEX "sign_in_code_keyHash_key" ON "sign_in_code"("keyHash");

-- AddForeignKey
ALTER TABLE "session" ADD CONSTRAINT "session_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Accounts with ACME CAs elsewhere, and what hosts order there.
-- CreateTable
CREATE TABLE "ca_account" (
    "authorityId" UUID NOT NULL,
    "directory" TEXT NOT NULL,
    "contact" TEXT[],
    "profile" TEXT,
    "challenge" JSONB NOT NULL,
    "trustedRoots" TEXT NOT NULL DEFAULT '',
    "bindingKeyId" TEXT,
    "state" TEXT NOT NULL,
    "url" TEXT,
    "thumbprint" TEXT NOT NULL,
    "changes" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "failures" INTEGER NOT NULL DEFAULT 0,
    "message" TEXT,
    "problem" TEXT,
    "retryAt" TIMESTAMPTZ(3),
    "pausedUntil" TIMESTAMPTZ(3),
    "registeredAt" TIMESTAMPTZ(3),
    "keyChangedAt" TIMESTAMPTZ(3),

    CONSTRAINT "ca_account_pkey" PRIMARY KEY ("authorityId")
);

-- CreateTable
CREATE TABLE "ca_account_secret" (
    "authorityId" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "ca_account_secret_pkey" PRIMARY KEY ("authorityId")
);

-- CreateTable
CREATE TABLE "ca_order" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "hostId" UUID NOT NULL,
    "authorityId" UUID NOT NULL,
    "names" TEXT[],
    "keyAlgorithm" TEXT NOT NULL,
    "csr" BYTEA NOT NULL,
    "replacesId" UUID,
    "reason" TEXT,
    "state" TEXT NOT NULL,
    "sentAt" TIMESTAMPTZ(3),
    "url" TEXT,
    "finalizeUrl" TEXT,
    "authorizations" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "failures" INTEGER NOT NULL DEFAULT 0,
    "message" TEXT,
    "problem" TEXT,
    "retryAt" TIMESTAMPTZ(3),
    "certificateId" UUID,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "endedAt" TIMESTAMPTZ(3),
    "cleanedAt" TIMESTAMPTZ(3),

    CONSTRAINT "ca_order_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ca_order_secret" (
    "orderId" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "ca_order_secret_pkey" PRIMARY KEY ("orderId")
);

-- CreateTable
CREATE TABLE "ca_challenge" (
    "id" UUID NOT NULL,
    "orderId" UUID NOT NULL,
    "hostId" UUID NOT NULL,
    "authorityId" UUID NOT NULL,
    "authorization" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "token" TEXT NOT NULL,
    "keyAuthorization" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "presentedAt" TIMESTAMPTZ(3),
    "seenAt" TIMESTAMPTZ(3),
    "answeredAt" TIMESTAMPTZ(3),
    "outcome" TEXT,
    "cleanedAt" TIMESTAMPTZ(3),

    CONSTRAINT "ca_challenge_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "ca_order_hostId_createdAt_idx" ON "ca_order"("hostId", "createdAt");

-- CreateIndex
CREATE INDEX "ca_order_authorityId_createdAt_idx" ON "ca_order"("authorityId", "createdAt");

-- CreateIndex
CREATE INDEX "ca_challenge_hostId_idx" ON "ca_challenge"("hostId");

-- CreateIndex
CREATE INDEX "ca_challenge_authorityId_name_createdAt_idx" ON "ca_challenge"("authorityId", "name", "createdAt");

-- CreateIndex
CREATE UNIQUE INDEX "ca_challenge_orderId_authorization_key" ON "ca_challenge"("orderId", "authorization");

-- AddForeignKey
ALTER TABLE "ca_account" ADD CONSTRAINT "ca_account_authorityId_fkey" FOREIGN KEY ("authorityId") REFERENCES "authority"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ca_account_secret" ADD CONSTRAINT "ca_account_secret_authorityId_fkey" FOREIGN KEY ("authorityId") REFERENCES "ca_account"("authorityId") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ca_order" ADD CONSTRAINT "ca_order_authorityId_fkey" FOREIGN KEY ("authorityId") REFERENCES "authority"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ca_order" ADD CONSTRAINT "ca_order_tenantId_certificateId_fkey" FOREIGN KEY ("tenantId", "certificateId") REFERENCES "certificate"("tenantId", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ca_order_secret" ADD CONSTRAINT "ca_order_secret_orderId_fkey" FOREIGN KEY ("orderId") REFERENCES "ca_order"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ca_challenge" ADD CONSTRAINT "ca_challenge_orderId_fkey" FOREIGN KEY ("orderId") REFERENCES "ca_order"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- At most one order of a host is under way; and those that jobs look after are found without reading the others.
CREATE UNIQUE INDEX "ca_order_underway" ON "ca_order"("hostId") WHERE "endedAt" IS NULL;
CREATE INDEX "ca_order_unfinished" ON "ca_order"("createdAt") WHERE "cleanedAt" IS NULL;

ALTER TABLE "authority" DROP CONSTRAINT "authority_kind_check";
ALTER TABLE "authority" ADD CONSTRAINT "authority_kind_check" CHECK ("kind" IN ('root', 'intermediate', 'acme')) NOT VALID;
ALTER TABLE "authority" VALIDATE CONSTRAINT "authority_kind_check";

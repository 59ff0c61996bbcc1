-- CreateTable
CREATE TABLE "acme_key" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "authorityId" UUID,
    "names" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "profiles" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "preauthorized" BOOLEAN NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "createdBy" TEXT NOT NULL,
    "expiresAt" TIMESTAMPTZ(3),
    "revokedAt" TIMESTAMPTZ(3),

    CONSTRAINT "acme_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "acme_key_secret" (
    "keyId" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "acme_key_secret_pkey" PRIMARY KEY ("keyId")
);

-- CreateTable
CREATE TABLE "acme_account" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "keyId" UUID NOT NULL,
    "authorityId" UUID NOT NULL,
    "jwk" JSONB NOT NULL,
    "thumbprint" TEXT NOT NULL,
    "contact" TEXT[],
    "status" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "acme_account_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "acme_order" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "accountId" UUID NOT NULL,
    "status" TEXT NOT NULL,
    "identifiers" JSONB NOT NULL,
    "profile" TEXT NOT NULL,
    "replacesId" UUID,
    "csr" TEXT,
    "certificateId" UUID,
    "error" JSONB,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "acme_order_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "acme_authorization" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "orderId" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "wildcard" BOOLEAN NOT NULL,
    "status" TEXT NOT NULL,

    CONSTRAINT "acme_authorization_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "acme_challenge" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "authorizationId" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "token" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "error" JSONB,
    "validatedAt" TIMESTAMPTZ(3),

    CONSTRAINT "acme_challenge_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "acme_nonce" (
    "nonce" TEXT NOT NULL,
    "usedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "acme_nonce_pkey" PRIMARY KEY ("nonce")
);

-- CreateIndex
CREATE INDEX "acme_key_tenantId_createdAt_id_idx" ON "acme_key"("tenantId", "createdAt", "id");

-- CreateIndex
CREATE UNIQUE INDEX "acme_key_tenantId_id_key" ON "acme_key"("tenantId", "id");

-- CreateIndex
CREATE INDEX "acme_account_tenantId_createdAt_id_idx" ON "acme_account"("tenantId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "acme_account_keyId_idx" ON "acme_account"("keyId");

-- CreateIndex
CREATE UNIQUE INDEX "acme_account_tenantId_id_key" ON "acme_account"("tenantId", "id");

-- CreateIndex
CREATE UNIQUE INDEX "acme_account_authorityId_thumbprint_key" ON "acme_account"("authorityId", "thumbprint");

-- CreateIndex
CREATE INDEX "acme_order_accountId_createdAt_id_idx" ON "acme_order"("accountId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "acme_order_certificateId_idx" ON "acme_order"("certificateId");

-- CreateIndex
CREATE INDEX "acme_order_expiresAt_idx" ON "acme_order"("expiresAt");

-- CreateIndex
CREATE UNIQUE INDEX "acme_order_tenantId_id_key" ON "acme_order"("tenantId", "id");

-- CreateIndex
CREATE INDEX "acme_authorization_orderId_idx" ON "acme_authorization"("orderId");

-- CreateIndex
CREATE UNIQUE INDEX "acme_authorization_tenantId_id_key" ON "acme_authorization"("tenantId", "id");

-- CreateIndex
CREATE INDEX "acme_challenge_authorizationId_idx" ON "acme_challenge"("authorizationId");

-- CreateIndex
CREATE INDEX "acme_nonce_usedAt_idx" ON "acme_nonce"("usedAt");

-- AddForeignKey
ALTER TABLE "acme_key" ADD CONSTRAINT "acme_key_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acme_key" ADD CONSTRAINT "acme_key_authorityId_fkey" FOREIGN KEY ("authorityId") REFERENCES "authority"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acme_key_secret" ADD CONSTRAINT "acme_key_secret_keyId_fkey" FOREIGN KEY ("keyId") REFERENCES "acme_key"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acme_account" ADD CONSTRAINT "acme_account_tenantId_keyId_fkey" FOREIGN KEY ("tenantId", "keyId") REFERENCES "acme_key"("tenantId", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acme_account" ADD CONSTRAINT "acme_account_authorityId_fkey" FOREIGN KEY ("authorityId") REFERENCES "authority"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acme_order" ADD CONSTRAINT "acme_order_tenantId_accountId_fkey" FOREIGN KEY ("tenantId", "accountId") REFERENCES "acme_account"("tenantId", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acme_order" ADD CONSTRAINT "acme_order_tenantId_certificateId_fkey" FOREIGN KEY ("tenantId", "certificateId") REFERENCES "certificate"("tenantId", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acme_authorization" ADD CONSTRAINT "acme_authorization_tenantId_orderId_fkey" FOREIGN KEY ("tenantId", "orderId") REFERENCES "acme_order"("tenantId", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acme_challenge" ADD CONSTRAINT "acme_challenge_tenantId_authorizationId_fkey" FOREIGN KEY ("tenantId", "authorizationId") REFERENCES "acme_authorization"("tenantId", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- A name is of one key in force.
CREATE UNIQUE INDEX "acme_key_name" ON "acme_key"("tenantId", "name") WHERE "revokedAt" IS NULL;

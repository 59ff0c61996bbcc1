-- An API key may be opened by a client certificate of the tenant's instead of a token (src/tenants/apikeys/).
ALTER TABLE "api_key" ADD COLUMN "boundTo" TEXT;
CREATE UNIQUE INDEX "api_key_bound" ON "api_key"("tenantId", "boundTo") WHERE "boundTo" IS NOT NULL AND "revokedAt" IS NULL;

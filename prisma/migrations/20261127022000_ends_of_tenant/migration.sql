-- When the certificates of a tenant end is counted in this index alone, as when those of all do (certificate_ends).
CREATE INDEX "certificate_ends_of_tenant" ON "certificate"("tenantId", "notAfter") INCLUDE ("autoRenew")
  WHERE "revokedAt" IS NULL AND "cause" <> 'probe';

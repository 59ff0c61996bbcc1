-- Clients that gateways refuse, found by who signed them: few, and looked for at every proof of a host.
CREATE INDEX "certificate_ed25519_clients" ON "certificate"("authorityId", "tenantId")
  WHERE "keyAlgorithm" = 'ED25519' AND "profile" <> 'server';

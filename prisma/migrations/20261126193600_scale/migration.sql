-- A period of the audit trail is read in the order of time, whoever it is of; what happened to a thing by its name.
DROP INDEX "audit_event_at";
CREATE INDEX "audit_event_at_seq_idx" ON "audit_event"("at", "seq");
CREATE INDEX "audit_event_tenantId_at_seq_idx" ON "audit_event"("tenantId", "at", "seq");
CREATE INDEX "audit_event_subjectName_seq_idx" ON "audit_event"("subjectName", "seq");

-- Few certificates are revoked: a list of them goes past no others. Not by "status" (see certificate_search).
CREATE INDEX "certificate_revoked_ends" ON "certificate"("notAfter", "id") WHERE "revokedAt" IS NOT NULL;
CREATE INDEX "certificate_revoked_of_tenant" ON "certificate"("tenantId", "notAfter", "id")
  WHERE "revokedAt" IS NOT NULL;

-- What ends soon on a cluster is sought host by host; what is of no host is not in it.
DROP INDEX "certificate_hostId_idx";
CREATE INDEX "certificate_of_host" ON "certificate"("hostId", "notAfter", "id") WHERE "hostId" IS NOT NULL;
-- When what an authority issued ends is counted in this index alone, too.
DROP INDEX "certificate_ends";
CREATE INDEX "certificate_ends" ON "certificate"("notAfter") INCLUDE ("autoRenew", "authorityId")
  WHERE "revokedAt" IS NULL AND "cause" <> 'probe';

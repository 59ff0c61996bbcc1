-- Every ending of the names that a host answers for, as of a certificate's (see certificate_search).
CREATE FUNCTION host_endings(name text, spec jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
  aliases jsonb := spec -> 'aliases';
BEGIN
  IF jsonb_typeof(aliases) IS DISTINCT FROM 'array' THEN
    RETURN dns_endings(ARRAY[name]);
  END IF;
  RETURN dns_endings(name || ARRAY(SELECT alias FROM jsonb_array_elements_text(aliases) alias
    WHERE alias IS NOT NULL));
END
$$;
ALTER TABLE "host" ADD COLUMN "dnsEndings" text[]
  GENERATED ALWAYS AS (host_endings("name", "spec")) STORED;
CREATE INDEX "host_dnsEndings" ON "host" USING gin ("dnsEndings");
CREATE INDEX "host_authority" ON "host" ("tenantId", ("spec" #>> '{certificate,authority}'));
CREATE INDEX "host_name_id_idx" ON "host"("name", "id");

-- Which hosts are not as they should be: few of all.
CREATE INDEX "placement_astray" ON "placement" ("status", "tenantId", "hostId") WHERE "status" <> 'Synced';
CREATE INDEX "delivery_target_astray" ON "delivery_target" ("status", "tenantId", "deliveryId")
  WHERE "status" <> 'Synced';

-- Who did what, and when.
CREATE INDEX "audit_event_action_seq_idx" ON "audit_event"("action", "seq");
CREATE INDEX "audit_event_actorName_seq_idx" ON "audit_event"("actorName", "seq");
CREATE INDEX "audit_event_at" ON "audit_event" USING brin ("at");
CREATE INDEX "audit_event_requests" ON "audit_event" ("requestId") WHERE "requestId" IS NOT NULL;
CREATE INDEX "audit_event_actors" ON "audit_event" ("actorId", "seq") WHERE "actorId" IS NOT NULL;

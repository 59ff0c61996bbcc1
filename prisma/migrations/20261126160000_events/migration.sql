-- What happened to hosts, certificates, deliveries and clusters, for those who follow it (src/events/).
-- It is written by triggers, in the transaction of the change, whoever makes it. A number from a sequence is
-- given before its transaction is stored, so that a reader who went by that alone would pass over one that
-- is stored later; the order is that of transactions, and is read up to the oldest that is still under way.
CREATE TABLE "event" (
    "xid" BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    "seq" BIGSERIAL NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "tenantId" UUID,
    "type" TEXT NOT NULL,
    "subjectId" UUID NOT NULL,
    "subjectName" TEXT NOT NULL,
    "data" JSONB NOT NULL,

    CONSTRAINT "event_pkey" PRIMARY KEY ("xid", "seq")
);
CREATE INDEX "event_tenantId_xid_seq_idx" ON "event"("tenantId", "xid", "seq");

CREATE FUNCTION "event_is_told"(tenant UUID, type TEXT, id UUID, name TEXT, data JSONB) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "event" ("tenantId", "type", "subjectId", "subjectName", "data")
    VALUES (tenant, type, id, name, data);
  -- Transactions that tell something are stored one after the other. Certificates are made by the thousand, so
  -- they are looked for once a second.
  IF type NOT LIKE 'certificate.%' THEN
    PERFORM pg_notify('gatesmith_events', coalesce(tenant::text, 'platform'));
  END IF;
END $$;

CREATE FUNCTION "placement_is_told"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM "event_is_told"(NEW."tenantId", 'host.status', NEW."hostId", NEW."name", jsonb_build_object(
    'cluster', (SELECT "name" FROM "cluster" WHERE "id" = NEW."clusterId"), 'ingress', NEW."ingress",
    'status', NEW."status", 'wanted', NEW."wanted", 'message', left(NEW."message", 1000)));
  RETURN NULL;
END $$;
CREATE TRIGGER "placement_is_told_new" AFTER INSERT ON "placement"
  FOR EACH ROW EXECUTE FUNCTION "placement_is_told"();
CREATE TRIGGER "placement_is_told" AFTER UPDATE ON "placement" FOR EACH ROW
  WHEN (OLD."status" IS DISTINCT FROM NEW."status" OR OLD."wanted" IS DISTINCT FROM NEW."wanted")
  EXECUTE FUNCTION "placement_is_told"();

CREATE FUNCTION "host_is_told"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  host RECORD;
  type TEXT;
BEGIN
  IF TG_OP = 'DELETE' THEN
    host := OLD;
    type := 'host.gone';
  ELSE
    host := NEW;
    type := CASE
      WHEN TG_OP = 'INSERT' OR (OLD."removedAt" IS NOT NULL AND NEW."removedAt" IS NULL) THEN 'host.created'
      WHEN OLD."removedAt" IS NULL AND NEW."removedAt" IS NOT NULL THEN 'host.removed'
      WHEN OLD."generation" <> NEW."generation" THEN 'host.changed'
      ELSE 'host.certified' END;
  END IF;
  PERFORM "event_is_told"(host."tenantId", type, host."id", host."name", jsonb_build_object(
    'generation', host."generation", 'certificate', host."certificateId"));
  RETURN NULL;
END $$;
CREATE TRIGGER "host_is_told_new" AFTER INSERT OR DELETE ON "host"
  FOR EACH ROW EXECUTE FUNCTION "host_is_told"();
CREATE TRIGGER "host_is_told" AFTER UPDATE ON "host" FOR EACH ROW
  WHEN (OLD."removedAt" IS DISTINCT FROM NEW."removedAt" OR OLD."generation" <> NEW."generation"
    OR OLD."certificateId" IS DISTINCT FROM NEW."certificateId")
  EXECUTE FUNCTION "host_is_told"();

CREATE FUNCTION "certificate_is_told"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  type TEXT := CASE
    WHEN OLD."status" = NEW."status" THEN 'certificate.renewal-failed'
    WHEN NEW."status" = 'revoked' THEN 'certificate.revoked'
    ELSE 'certificate.issued' END;
BEGIN
  PERFORM "event_is_told"(NEW."tenantId", type, NEW."id",
    coalesce(NEW."commonName", NEW."dnsNames"[1], NEW."serial"), jsonb_build_object(
      'serial', NEW."serial", 'dnsNames', to_jsonb(NEW."dnsNames"), 'profile', NEW."profile",
      'notAfter', to_char(NEW."notAfter" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'host', NEW."hostId", 'replaces', NEW."replacesId", 'cause', NEW."cause")
    || CASE type
      WHEN 'certificate.revoked' THEN jsonb_build_object('reason', NEW."revocationReason")
      WHEN 'certificate.renewal-failed' THEN jsonb_build_object(
        'failures', NEW."renewFailures", 'error', left(NEW."renewError", 1000))
      ELSE '{}' END);
  RETURN NULL;
END $$;
-- Certificates that hosts are proved by are left out, as of lists.
CREATE TRIGGER "certificate_is_told" AFTER UPDATE ON "certificate" FOR EACH ROW
  WHEN (NEW."cause" <> 'probe' AND (OLD."status" <> NEW."status" OR NEW."renewFailures" > OLD."renewFailures"))
  EXECUTE FUNCTION "certificate_is_told"();

CREATE FUNCTION "delivery_is_told"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM "event_is_told"(NEW."tenantId", 'delivery.status', NEW."deliveryId",
    coalesce((SELECT "name" FROM "delivery" WHERE "id" = NEW."deliveryId"), ''), jsonb_build_object(
      'cluster', (SELECT "name" FROM "cluster" WHERE "id" = NEW."clusterId"),
      'namespace', NEW."namespace", 'secret', NEW."secretName",
      'status', NEW."status", 'wanted', NEW."wanted", 'message', left(NEW."message", 1000)));
  RETURN NULL;
END $$;
CREATE TRIGGER "delivery_is_told_new" AFTER INSERT ON "delivery_target"
  FOR EACH ROW EXECUTE FUNCTION "delivery_is_told"();
CREATE TRIGGER "delivery_is_told" AFTER UPDATE ON "delivery_target" FOR EACH ROW
  WHEN (OLD."status" IS DISTINCT FROM NEW."status" OR OLD."wanted" IS DISTINCT FROM NEW."wanted")
  EXECUTE FUNCTION "delivery_is_told"();

CREATE FUNCTION "cluster_is_told"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM "event_is_told"(NULL, 'cluster.status', NEW."id", NEW."name", jsonb_build_object(
    'status', NEW."status", 'message', left(NEW."message", 1000)));
  RETURN NULL;
END $$;
CREATE TRIGGER "cluster_is_told" AFTER UPDATE ON "cluster" FOR EACH ROW
  WHEN (OLD."status" IS DISTINCT FROM NEW."status") EXECUTE FUNCTION "cluster_is_told"();

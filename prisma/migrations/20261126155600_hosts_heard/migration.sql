-- Who waits for a host is told when something about it has changed, once for each transaction
-- (src/core/database/bells.ts). The message says which host, and nothing else of it.
CREATE FUNCTION "host_is_heard"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  host_id UUID;
BEGIN
  IF TG_TABLE_NAME = 'host' THEN
    host_id := OLD."id";
  ELSIF TG_OP = 'DELETE' THEN
    host_id := OLD."hostId";
  ELSE
    host_id := NEW."hostId";
  END IF;
  PERFORM pg_notify('gatesmith_hosts', host_id::text);
  RETURN NULL;
END $$;

CREATE TRIGGER "placement_status_is_heard" AFTER UPDATE ON "placement"
  FOR EACH ROW WHEN (OLD."status" IS DISTINCT FROM NEW."status")
  EXECUTE FUNCTION "host_is_heard"();
CREATE TRIGGER "placement_end_is_heard" AFTER DELETE ON "placement"
  FOR EACH ROW EXECUTE FUNCTION "host_is_heard"();
CREATE TRIGGER "host_end_is_heard" AFTER DELETE ON "host"
  FOR EACH ROW EXECUTE FUNCTION "host_is_heard"();

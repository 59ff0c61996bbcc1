-- Times that certificates, lists and answers hold in whole seconds. A column of type TIMESTAMPTZ(0) rounds
-- half a second up, so that what was written as "now" lay in the future when it was compared with the
-- clock. These columns keep all of the precision they are given and are cut down to the second, whoever
-- writes them and by whatever statement.

ALTER TABLE "revocation_list"
  ALTER COLUMN "thisUpdate" SET DATA TYPE TIMESTAMPTZ(6),
  ALTER COLUMN "nextUpdate" SET DATA TYPE TIMESTAMPTZ(6);

ALTER TABLE "responder"
  ALTER COLUMN "notBefore" SET DATA TYPE TIMESTAMPTZ(6),
  ALTER COLUMN "notAfter" SET DATA TYPE TIMESTAMPTZ(6);

ALTER TABLE "issuer"
  ALTER COLUMN "notBefore" SET DATA TYPE TIMESTAMPTZ(6),
  ALTER COLUMN "notAfter" SET DATA TYPE TIMESTAMPTZ(6),
  ALTER COLUMN "revokedAt" SET DATA TYPE TIMESTAMPTZ(6);

ALTER TABLE "certificate"
  ALTER COLUMN "notBefore" SET DATA TYPE TIMESTAMPTZ(6),
  ALTER COLUMN "notAfter" SET DATA TYPE TIMESTAMPTZ(6),
  ALTER COLUMN "renewAt" SET DATA TYPE TIMESTAMPTZ(6),
  ALTER COLUMN "revokedAt" SET DATA TYPE TIMESTAMPTZ(6);

CREATE FUNCTION "revocation_list_whole_seconds"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW."thisUpdate" := date_trunc('second', NEW."thisUpdate");
  NEW."nextUpdate" := date_trunc('second', NEW."nextUpdate");
  RETURN NEW;
END $$;
CREATE TRIGGER "revocation_list_whole_seconds" BEFORE INSERT OR UPDATE OF "thisUpdate", "nextUpdate"
  ON "revocation_list" FOR EACH ROW EXECUTE FUNCTION "revocation_list_whole_seconds"();

CREATE FUNCTION "responder_whole_seconds"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW."notBefore" := date_trunc('second', NEW."notBefore");
  NEW."notAfter" := date_trunc('second', NEW."notAfter");
  RETURN NEW;
END $$;
CREATE TRIGGER "responder_whole_seconds" BEFORE INSERT OR UPDATE OF "notBefore", "notAfter"
  ON "responder" FOR EACH ROW EXECUTE FUNCTION "responder_whole_seconds"();

CREATE FUNCTION "issuer_whole_seconds"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW."notBefore" := date_trunc('second', NEW."notBefore");
  NEW."notAfter" := date_trunc('second', NEW."notAfter");
  NEW."revokedAt" := date_trunc('second', NEW."revokedAt");
  RETURN NEW;
END $$;
CREATE TRIGGER "issuer_whole_seconds" BEFORE INSERT OR UPDATE OF "notBefore", "notAfter", "revokedAt"
  ON "issuer" FOR EACH ROW EXECUTE FUNCTION "issuer_whole_seconds"();

CREATE FUNCTION "certificate_whole_seconds"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW."notBefore" := date_trunc('second', NEW."notBefore");
  NEW."notAfter" := date_trunc('second', NEW."notAfter");
  NEW."renewAt" := date_trunc('second', NEW."renewAt");
  NEW."revokedAt" := date_trunc('second', NEW."revokedAt");
  RETURN NEW;
END $$;
CREATE TRIGGER "certificate_whole_seconds" BEFORE INSERT OR UPDATE OF "notBefore", "notAfter", "renewAt", "revokedAt"
  ON "certificate" FOR EACH ROW EXECUTE FUNCTION "certificate_whole_seconds"();

-- CreateTable
CREATE TABLE "cluster_certificate" (
    "clusterId" UUID NOT NULL,
    "certificateId" UUID NOT NULL,
    "hostId" UUID NOT NULL,
    "notAfter" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "cluster_certificate_pkey" PRIMARY KEY ("certificateId","clusterId","hostId")
);

-- CreateIndex
CREATE INDEX "cluster_certificate_clusterId_notAfter_certificateId_idx" ON "cluster_certificate"("clusterId", "notAfter", "certificateId");

-- CreateIndex
CREATE INDEX "cluster_certificate_hostId_idx" ON "cluster_certificate"("hostId");

-- AddForeignKey
ALTER TABLE "cluster_certificate" ADD CONSTRAINT "cluster_certificate_clusterId_fkey" FOREIGN KEY ("clusterId") REFERENCES "cluster"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "cluster_certificate" ADD CONSTRAINT "cluster_certificate_certificateId_fkey" FOREIGN KEY ("certificateId") REFERENCES "certificate"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "cluster_certificate" ADD CONSTRAINT "cluster_certificate_hostId_fkey" FOREIGN KEY ("hostId") REFERENCES "host"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What hosts use, on each cluster that they are on; of their own certificates also those that they used before. Whoever adds a
-- placement, or gives a host another certificate, has the host's row; so neither misses what the other does.
CREATE FUNCTION "certificates_of_host"(host_id UUID)
RETURNS TABLE ("certificateId" UUID, "notAfter" TIMESTAMPTZ) LANGUAGE sql STABLE AS $$
  SELECT "id", "notAfter" FROM "certificate" WHERE "hostId" = host_id AND "cause" <> 'probe'
  UNION
  SELECT used."id", used."notAfter" FROM "host" JOIN "certificate" used ON used."id" = "host"."certificateId"
    WHERE "host"."id" = host_id
$$;

CREATE FUNCTION "placement_has_certificates"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO "cluster_certificate" ("clusterId", "certificateId", "hostId", "notAfter")
      SELECT NEW."clusterId", "certificateId", NEW."hostId", "notAfter" FROM "certificates_of_host"(NEW."hostId")
      ON CONFLICT DO NOTHING;
  ELSE
    PERFORM 1 FROM "host" WHERE "id" = OLD."hostId" FOR NO KEY UPDATE;
    -- By however many ingresses of a cluster it came in: with the last of them it is gone from there.
    DELETE FROM "cluster_certificate" WHERE "hostId" = OLD."hostId" AND "clusterId" = OLD."clusterId"
      AND NOT EXISTS (SELECT FROM "placement" WHERE "tenantId" = OLD."tenantId" AND "hostId" = OLD."hostId"
        AND "clusterId" = OLD."clusterId");
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER "placement_has_certificates" AFTER INSERT OR DELETE ON "placement"
  FOR EACH ROW EXECUTE FUNCTION "placement_has_certificates"();

CREATE FUNCTION "host_has_certificate"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- What was uploaded and is used no more is not there any more; what was made for the host is told of until it leaves.
  DELETE FROM "cluster_certificate" WHERE "hostId" = NEW."id" AND "certificateId" = OLD."certificateId"
    AND NOT EXISTS (SELECT FROM "certificate" WHERE "id" = OLD."certificateId" AND "hostId" = NEW."id");
  INSERT INTO "cluster_certificate" ("clusterId", "certificateId", "hostId", "notAfter")
    SELECT DISTINCT "clusterId", used."id", NEW."id", used."notAfter" FROM "placement"
      JOIN "certificate" used ON used."id" = NEW."certificateId"
      WHERE "placement"."tenantId" = NEW."tenantId" AND "placement"."hostId" = NEW."id"
    ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;

CREATE TRIGGER "host_has_certificate" AFTER UPDATE ON "host" FOR EACH ROW
  WHEN (OLD."certificateId" IS DISTINCT FROM NEW."certificateId")
  EXECUTE FUNCTION "host_has_certificate"();

INSERT INTO "cluster_certificate" ("clusterId", "certificateId", "hostId", "notAfter")
  SELECT DISTINCT "placement"."clusterId", has."certificateId", "placement"."hostId", has."notAfter"
  FROM "placement" CROSS JOIN LATERAL "certificates_of_host"("placement"."hostId") has;

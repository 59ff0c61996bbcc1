-- Every ending of a certificate's DNS names, so that *.example.com is found by an index as example.com is:
-- of a.example.com itself, .example.com and .com.
CREATE FUNCTION dns_endings(names text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
  endings text[] := '{}';
  name text;
  dot int;
BEGIN
  FOREACH name IN ARRAY names LOOP
    endings := endings || name;
    dot := strpos(name, '.');
    WHILE dot > 0 LOOP
      name := substr(name, dot);
      endings := endings || name;
      name := substr(name, 2);
      dot := strpos(name, '.');
    END LOOP;
  END LOOP;
  RETURN endings;
END
$$;

-- Not in schema.prisma: PostgreSQL alone writes it, and nothing reads it but searches in SQL.
ALTER TABLE "certificate" ADD COLUMN "dnsEndings" text[] GENERATED ALWAYS AS (dns_endings("dnsNames")) STORED;

CREATE INDEX "certificate_dnsEndings" ON "certificate" USING gin ("dnsEndings");
CREATE INDEX "certificate_authorityId_notAfter_id_idx" ON "certificate"("authorityId", "notAfter", "id");
-- What a list by cluster goes through: hosts have few of all certificates.
CREATE INDEX "certificate_of_hosts" ON "certificate"("notAfter", "id") WHERE "hostId" IS NOT NULL;
-- What ends on which day is counted in this index alone.
CREATE INDEX "certificate_ends" ON "certificate"("notAfter") INCLUDE ("autoRenew")
  WHERE "revokedAt" IS NULL AND "cause" <> 'probe';

-- A certificate is written twice, before and after it is signed. With room for the second version beside the
-- first none of the indexes is written again, as long as the second changes no column of theirs: so none
-- of them may be about "status", "tbs", "der" or "fingerprintSha256".
ALTER TABLE "certificate" SET (fillfactor = 50);

-- That is why fingerprints are looked up here. No foreign key: its check would cost more than the row, and a
-- certificate is never removed.
CREATE TABLE "certificate_fingerprint" (
    "sha256" BYTEA NOT NULL,
    "certificateId" UUID NOT NULL,

    CONSTRAINT "certificate_fingerprint_pkey" PRIMARY KEY ("sha256")
);
INSERT INTO "certificate_fingerprint"
  SELECT decode("fingerprintSha256", 'hex'), "id" FROM "certificate" WHERE "fingerprintSha256" IS NOT NULL
  ON CONFLICT DO NOTHING;

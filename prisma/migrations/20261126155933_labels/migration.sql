-- What a filter by labels looks for: of {"env": "prod"} "env" and "env=prod". As an array, since PostgreSQL
-- keeps count of the members of arrays, and so knows which labels are rare. Null: there is no label.
CREATE FUNCTION label_terms(labels jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
  IF labels = '{}' OR jsonb_typeof(labels) <> 'object' THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT array_agg(term) FROM jsonb_each_text(labels) label
    CROSS JOIN LATERAL (VALUES (label.key), (label.key || '=' || label.value)) AS terms (term));
END
$$;

ALTER TABLE "tenant" ADD COLUMN "labels" JSONB NOT NULL DEFAULT '{}', ADD COLUMN "owner" TEXT,
  ADD COLUMN "contact" TEXT;
ALTER TABLE "host" ADD COLUMN "labels" JSONB NOT NULL DEFAULT '{}', ADD COLUMN "owner" TEXT,
  ADD COLUMN "contact" TEXT;
ALTER TABLE "certificate" ADD COLUMN "labels" JSONB NOT NULL DEFAULT '{}';

-- Not in schema.prisma: PostgreSQL alone writes them, and nothing reads them but searches in SQL.
ALTER TABLE "tenant" ADD COLUMN "labelTerms" text[] GENERATED ALWAYS AS (label_terms("labels")) STORED;
ALTER TABLE "host" ADD COLUMN "labelTerms" text[] GENERATED ALWAYS AS (label_terms("labels")) STORED;
ALTER TABLE "certificate" ADD COLUMN "labelTerms" text[] GENERATED ALWAYS AS (label_terms("labels")) STORED;

-- What has no label is in none of them.
CREATE INDEX "tenant_labelTerms" ON "tenant" USING gin ("labelTerms") WHERE "labelTerms" IS NOT NULL;
CREATE INDEX "host_labelTerms" ON "host" USING gin ("labelTerms") WHERE "labelTerms" IS NOT NULL;
CREATE INDEX "certificate_labelTerms" ON "certificate" USING gin ("labelTerms")
  WHERE "labelTerms" IS NOT NULL;

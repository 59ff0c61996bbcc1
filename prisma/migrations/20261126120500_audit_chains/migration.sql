-- Each tenant's events are a chain of hashes, the platform's own another; all links in the order in which they
-- were made are the leaves of one Merkle tree, whose checkpoints are signed (src/audit/chain/).
CREATE TABLE "audit_link" (
    "index" BIGINT NOT NULL,
    "seq" BIGINT NOT NULL,
    "chain" UUID NOT NULL,
    "position" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_link_pkey" PRIMARY KEY ("index")
);
CREATE UNIQUE INDEX "audit_link_seq_key" ON "audit_link"("seq");
CREATE UNIQUE INDEX "audit_link_chain_position_key" ON "audit_link"("chain", "position");

CREATE TABLE "audit_checkpoint" (
    "size" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "upTo" BIGINT NOT NULL,
    "edge" BYTEA NOT NULL,
    "keyId" UUID NOT NULL,
    "note" TEXT NOT NULL,

    CONSTRAINT "audit_checkpoint_pkey" PRIMARY KEY ("size")
);
CREATE INDEX "audit_checkpoint_at_idx" ON "audit_checkpoint"("at");

CREATE TABLE "audit_log_key" (
    "id" UUID NOT NULL,
    "origin" TEXT NOT NULL,
    "publicKey" BYTEA NOT NULL,
    "sealed" BYTEA NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "audit_log_key_pkey" PRIMARY KEY ("id")
);
ALTER TABLE "audit_checkpoint" ADD CONSTRAINT "audit_checkpoint_keyId_fkey"
  FOREIGN KEY ("keyId") REFERENCES "audit_log_key"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

CREATE FUNCTION "audit_row_is_final"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% rows are never changed or removed', TG_TABLE_NAME;
END $$;
CREATE TRIGGER "audit_link_is_final" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_link"
  FOR EACH STATEMENT EXECUTE FUNCTION "audit_row_is_final"();
CREATE TRIGGER "audit_checkpoint_is_final" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_checkpoint"
  FOR EACH STATEMENT EXECUTE FUNCTION "audit_row_is_final"();

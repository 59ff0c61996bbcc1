-- Certificates of CAs elsewhere, uploaded with their keys. Serials are unique of one CA alone: those of ours stay so,
-- since of those that are uploaded "uploaded" is what tells them apart.
ALTER TABLE "certificate" ADD COLUMN     "uploaded" TEXT NOT NULL DEFAULT '',
ALTER COLUMN "authorityId" DROP NOT NULL;
ALTER TABLE "certificate" DROP CONSTRAINT "certificate_serial_check";
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_serial_check" CHECK (CASE
  WHEN "issuerId" IS NULL THEN "serial" ~ '^([0-9a-f]{2}){1,21}$' ELSE "serial" ~ '^[0-7][0-9a-f]{31,39}$' END) NOT VALID;
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_uploaded_check" CHECK (CASE "uploaded"
  WHEN '' THEN "authorityId" IS NOT NULL
  ELSE "authorityId" IS NULL AND "issuerId" IS NULL AND "anchorPem" IS NOT NULL END) NOT VALID;
ALTER TABLE "certificate" VALIDATE CONSTRAINT "certificate_serial_check";
ALTER TABLE "certificate" VALIDATE CONSTRAINT "certificate_uploaded_check";
CREATE UNIQUE INDEX "certificate_serial_uploaded_key" ON "certificate"("serial", "uploaded");
DROP INDEX "certificate_serial_key";

-- What is issued is told of when it is signed (see events); what is uploaded is whole from the start.
CREATE FUNCTION "certificate_upload_is_told"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM "event_is_told"(NEW."tenantId", 'certificate.uploaded', NEW."id",
    coalesce(NEW."commonName", NEW."dnsNames"[1], NEW."serial"), jsonb_build_object(
      'serial', NEW."serial", 'dnsNames', to_jsonb(NEW."dnsNames"), 'profile', NEW."profile",
      'notAfter', to_char(NEW."notAfter" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'host', NEW."hostId", 'replaces', NEW."replacesId", 'cause', NEW."cause"));
  RETURN NULL;
END $$;
CREATE TRIGGER "certificate_upload_is_told" AFTER INSERT ON "certificate" FOR EACH ROW
  WHEN (NEW."uploaded" <> '') EXECUTE FUNCTION "certificate_upload_is_told"();

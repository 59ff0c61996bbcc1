-- CreateTable
CREATE TABLE "placement_name" (
    "placementId" UUID NOT NULL,
    "clusterId" UUID NOT NULL,
    "ingress" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "wanted" BOOLEAN NOT NULL DEFAULT true,

    CONSTRAINT "placement_name_pkey" PRIMARY KEY ("placementId","name")
);

-- CreateIndex
CREATE UNIQUE INDEX "placement_name_clusterId_ingress_name_key" ON "placement_name"("clusterId", "ingress", "name");

-- AddForeignKey
ALTER TABLE "placement_name" ADD CONSTRAINT "placement_name_placementId_fkey" FOREIGN KEY ("placementId") REFERENCES "placement"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The host's own name is there as soon as the placement is, whichever release places it.
CREATE FUNCTION "placement_has_its_name"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "placement_name" ("placementId", "clusterId", "ingress", "name")
    VALUES (NEW."id", NEW."clusterId", NEW."ingress", NEW."name");
  RETURN NEW;
END $$;
CREATE TRIGGER "placement_has_its_name" AFTER INSERT ON "placement"
  FOR EACH ROW EXECUTE FUNCTION "placement_has_its_name"();

INSERT INTO "placement_name" ("placementId", "clusterId", "ingress", "name")
  SELECT "id", "clusterId", "ingress", "name" FROM "placement";

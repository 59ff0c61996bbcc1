ALTER TABLE "certificate" ADD COLUMN "actor" JSONB;

-- What the CSR of a certificate asked for and was not granted, by name.
ALTER TABLE "certificate" ADD COLUMN "leftOut" TEXT[] DEFAULT ARRAY[]::TEXT[];

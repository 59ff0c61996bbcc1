-- A moment as the clock has it: no trigger has to cut it down.
ALTER TABLE "revocation_list" ALTER COLUMN "fittedUntil" SET DATA TYPE TIMESTAMPTZ(3);

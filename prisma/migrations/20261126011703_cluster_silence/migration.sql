-- AlterTable
ALTER TABLE "cluster" ADD COLUMN     "silentSince" TIMESTAMPTZ(3),
ADD COLUMN     "unansweredAt" TIMESTAMPTZ(3);

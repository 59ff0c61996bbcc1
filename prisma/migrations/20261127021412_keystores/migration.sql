-- AlterTable
ALTER TABLE "delivery" ADD COLUMN     "keystores" JSONB NOT NULL DEFAULT '{}';

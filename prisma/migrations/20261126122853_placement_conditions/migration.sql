-- AlterTable
ALTER TABLE "placement" ADD COLUMN     "conditions" JSONB NOT NULL DEFAULT '[]';

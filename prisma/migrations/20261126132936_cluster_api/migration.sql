-- AlterTable
ALTER TABLE "cluster" ADD COLUMN     "api" TEXT NOT NULL DEFAULT 'istio';

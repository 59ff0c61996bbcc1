-- AlterTable
ALTER TABLE "cluster" ADD COLUMN     "ingressPlainAddress" TEXT;

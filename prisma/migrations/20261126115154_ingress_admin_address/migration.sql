-- AlterTable
ALTER TABLE "cluster" ADD COLUMN     "ingressAdminAddress" TEXT;

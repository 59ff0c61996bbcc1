-- AlterTable
ALTER TABLE "tenant" ADD COLUMN     "quotas" JSONB NOT NULL DEFAULT '{}';

-- CreateTable
CREATE TABLE "tenant_usage" (
    "tenantId" UUID NOT NULL,
    "quota" TEXT NOT NULL,
    "day" DATE NOT NULL,
    "used" INTEGER NOT NULL,
    "granted" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "tenant_usage_pkey" PRIMARY KEY ("tenantId","quota","day")
);

-- AddForeignKey
ALTER TABLE "tenant_usage" ADD CONSTRAINT "tenant_usage_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

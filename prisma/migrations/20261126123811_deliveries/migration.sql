-- CreateTable
CREATE TABLE "delivery" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "certificateId" UUID NOT NULL,
    "namespace" TEXT NOT NULL,
    "secretName" TEXT NOT NULL,
    "deployment" TEXT,
    "removedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "delivery_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "delivery_target" (
    "id" UUID NOT NULL,
    "tenantId" UUID NOT NULL,
    "deliveryId" UUID NOT NULL,
    "clusterId" UUID NOT NULL,
    "namespace" TEXT NOT NULL,
    "secretName" TEXT NOT NULL,
    "wanted" BOOLEAN NOT NULL,
    "status" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "message" TEXT,
    "certificateId" UUID,
    "syncedAt" TIMESTAMPTZ(3),

    CONSTRAINT "delivery_target_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "delivery_tenantId_name_key" ON "delivery"("tenantId", "name");

-- CreateIndex
CREATE UNIQUE INDEX "delivery_tenantId_id_key" ON "delivery"("tenantId", "id");

-- CreateIndex
CREATE INDEX "delivery_target_tenantId_deliveryId_idx" ON "delivery_target"("tenantId", "deliveryId");

-- CreateIndex
CREATE UNIQUE INDEX "delivery_target_clusterId_namespace_secretName_key" ON "delivery_target"("clusterId", "namespace", "secretName");

-- AddForeignKey
ALTER TABLE "delivery" ADD CONSTRAINT "delivery_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "delivery" ADD CONSTRAINT "delivery_tenantId_certificateId_fkey" FOREIGN KEY ("tenantId", "certificateId") REFERENCES "certificate"("tenantId", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "delivery_target" ADD CONSTRAINT "delivery_target_tenantId_deliveryId_fkey" FOREIGN KEY ("tenantId", "deliveryId") REFERENCES "delivery"("tenantId", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "delivery_target" ADD CONSTRAINT "delivery_target_clusterId_fkey" FOREIGN KEY ("clusterId") REFERENCES "cluster"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "delivery_target" ADD CONSTRAINT "delivery_target_status_check" CHECK ("status" IN ('Pending', 'Synced', 'Failed', 'Conflict'));
CREATE INDEX "delivery_certificateId_idx" ON "delivery"("certificateId");

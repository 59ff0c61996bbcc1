-- CreateTable
CREATE TABLE "backend_client" (
    "tenantId" UUID NOT NULL,
    "hostId" UUID NOT NULL,
    "certificateId" UUID NOT NULL,

    CONSTRAINT "backend_client_pkey" PRIMARY KEY ("hostId","certificateId")
);

-- CreateIndex
CREATE INDEX "backend_client_certificateId_idx" ON "backend_client"("certificateId");

-- AddForeignKey
ALTER TABLE "backend_client" ADD CONSTRAINT "backend_client_tenantId_hostId_fkey" FOREIGN KEY ("tenantId", "hostId") REFERENCES "host"("tenantId", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "backend_client" ADD CONSTRAINT "backend_client_tenantId_certificateId_fkey" FOREIGN KEY ("tenantId", "certificateId") REFERENCES "certificate"("tenantId", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

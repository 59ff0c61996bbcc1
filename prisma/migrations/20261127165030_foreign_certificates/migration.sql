-- What gateways hold and nobody has here, and which gateways could be read (src/clusters/foreign/).
-- CreateTable
CREATE TABLE "foreign_certificate" (
    "id" UUID NOT NULL,
    "clusterId" UUID NOT NULL,
    "ingress" TEXT NOT NULL,
    "credential" TEXT NOT NULL,
    "fingerprintSha256" TEXT NOT NULL,
    "serial" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "dnsNames" TEXT[],
    "ipAddresses" TEXT[],
    "keyAlgorithm" TEXT,
    "notBefore" TIMESTAMPTZ(3) NOT NULL,
    "notAfter" TIMESTAMPTZ(3) NOT NULL,
    "chainLength" INTEGER NOT NULL,
    "servedNames" TEXT[],
    "gateways" TEXT[],
    "pods" INTEGER NOT NULL,
    "firstSeenAt" TIMESTAMPTZ(3) NOT NULL,
    "seenAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "foreign_certificate_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "gateway_reading" (
    "clusterId" UUID NOT NULL,
    "ingress" TEXT NOT NULL,
    "pod" TEXT NOT NULL,
    "readAt" TIMESTAMPTZ(3) NOT NULL,
    "reason" TEXT,
    "holds" INTEGER NOT NULL,
    "foreign" INTEGER NOT NULL,

    CONSTRAINT "gateway_reading_pkey" PRIMARY KEY ("clusterId","ingress","pod")
);

-- CreateIndex
CREATE INDEX "foreign_certificate_notAfter_id_idx" ON "foreign_certificate"("notAfter", "id");

-- CreateIndex
CREATE INDEX "foreign_certificate_clusterId_notAfter_id_idx" ON "foreign_certificate"("clusterId", "notAfter", "id");

-- CreateIndex
CREATE UNIQUE INDEX "foreign_certificate_clusterId_ingress_credential_fingerprin_key" ON "foreign_certificate"("clusterId", "ingress", "credential", "fingerprintSha256");

-- AddForeignKey
ALTER TABLE "foreign_certificate" ADD CONSTRAINT "foreign_certificate_clusterId_fkey" FOREIGN KEY ("clusterId") REFERENCES "cluster"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "gateway_reading" ADD CONSTRAINT "gateway_reading_clusterId_fkey" FOREIGN KEY ("clusterId") REFERENCES "cluster"("id") ON DELETE CASCADE ON UPDATE CASCADE;

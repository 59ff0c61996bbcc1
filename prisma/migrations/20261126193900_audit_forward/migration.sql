-- How far the audit trail was told to a SIEM.
CREATE TABLE "audit_forward" (
    "kind" TEXT NOT NULL,
    "target" TEXT NOT NULL,
    "next" BIGINT NOT NULL DEFAULT 0,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "error" TEXT,
    "retryAt" TIMESTAMPTZ(3),
    "forwardedAt" TIMESTAMPTZ(3),

    CONSTRAINT "audit_forward_pkey" PRIMARY KEY ("kind")
);

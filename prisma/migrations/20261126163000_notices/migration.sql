-- Who is told of what is about to go wrong, and what they were told (src/notices/).
CREATE TABLE "receiver" (
    "id" UUID NOT NULL,
    "tenantId" UUID,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "target" TEXT NOT NULL,
    "events" TEXT[],
    "failures" INTEGER NOT NULL DEFAULT 0,
    "retryAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "receiver_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "receiver_tenantId_name_key" ON "receiver"("tenantId", "name");
CREATE UNIQUE INDEX "receiver_platform_name_key" ON "receiver"("name") WHERE "tenantId" IS NULL;
ALTER TABLE "receiver" ADD CONSTRAINT "receiver_tenantId_fkey"
  FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

CREATE TABLE "receiver_secret" (
    "receiverId" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "receiver_secret_pkey" PRIMARY KEY ("receiverId")
);
ALTER TABLE "receiver_secret" ADD CONSTRAINT "receiver_secret_receiverId_fkey"
  FOREIGN KEY ("receiverId") REFERENCES "receiver"("id") ON DELETE CASCADE ON UPDATE CASCADE;

CREATE TABLE "notice" (
    "id" UUID NOT NULL,
    "receiverId" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "status" TEXT NOT NULL,
    "attempts" JSONB NOT NULL DEFAULT '[]',
    "tries" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "dueAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "notice_pkey" PRIMARY KEY ("id")
);
-- A receiver is told of a thing once, whatever looks for it and how often.
CREATE UNIQUE INDEX "notice_receiverId_key_key" ON "notice"("receiverId", "key");
CREATE INDEX "notice_receiverId_createdAt_id_idx" ON "notice"("receiverId", "createdAt", "id");
CREATE INDEX "notice_status_createdAt_idx" ON "notice"("status", "createdAt");
ALTER TABLE "notice" ADD CONSTRAINT "notice_receiverId_fkey"
  FOREIGN KEY ("receiverId") REFERENCES "receiver"("id") ON DELETE CASCADE ON UPDATE CASCADE;

CREATE TABLE "notice_cursor" (
    "what" TEXT NOT NULL,
    "position" TEXT NOT NULL,

    CONSTRAINT "notice_cursor_pkey" PRIMARY KEY ("what")
);

-- When a CA elsewhere is asked next when its certificate is best renewed.
ALTER TABLE "ca_order" ADD COLUMN "renewalAskAt" TIMESTAMPTZ(3);

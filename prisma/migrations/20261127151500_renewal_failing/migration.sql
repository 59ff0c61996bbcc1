-- Few renewals fail: those are found without passing by the others.
CREATE INDEX "certificate_renewal_failing" ON "certificate"("notAfter", "id") WHERE "renewFailures" > 0;

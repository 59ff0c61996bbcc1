-- MUTUAL hosts let in the clients of their own tenant, unless they say otherwise. Where certificates of
-- the client authority are not issued here, none of them can say whose it is: those hosts go on letting
-- in everybody who has one, and say so from now on.
UPDATE "host" SET
  "generation" = "generation" + 1,
  "spec" = jsonb_set("spec", '{tls,clients}', CASE WHEN EXISTS (
      SELECT 1 FROM "authority"
      JOIN "issuer" ON "issuer"."authorityId" = "authority"."id"
      JOIN "authority_key" ON "authority_key"."id" = "issuer"."keyId"
      WHERE "authority"."name" = "host"."spec" #>> '{tls,clientAuthority}'
        AND "authority"."tenantId" IS NULL
        AND "issuer"."issues" AND "authority_key"."store" = 'absent'
    ) THEN '"authority"'::jsonb ELSE '"tenant"'::jsonb END)
WHERE "spec" #>> '{tls,mode}' = 'MUTUAL';

-- Their clusters are told: what is not as it should be is looked at again.
UPDATE "placement" SET "status" = 'Pending', "since" = now(), "message" = NULL
FROM "host"
WHERE "host"."id" = "placement"."hostId" AND "placement"."wanted"
  AND "host"."spec" #>> '{tls,mode}' = 'MUTUAL';

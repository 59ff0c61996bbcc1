import { sql, type Tx } from '../../core/database/db.ts'
import type { AllIngresses } from '../ingresses.ts'
import { meshNamespace, type Places } from './table.ts'

/** How many namespaces of workloads are asked about. */
const mostNamespaces = 200

/** Where rights are needed for what is asked for on a cluster: the namespaces of its ingresses, those
 *  that Secrets go to for workloads that end TLS themselves, and that of istiod. */
export async function placesOn(
  tx: Tx,
  clusterId: string,
  ingresses: AllIngresses,
): Promise<Places> {
  const ingress = Object.values(ingresses).map(({ namespace }) => namespace)
  const rows = await tx.$queryRaw<readonly Row[]>(sql`
    select namespace, bool_or(restart) as restart, bool_or("configMap") as "configMap" from (
      select found #>> '{}' as namespace,
        host."spec" #>> '{certificate,restart,deployment}' is not null as restart,
        coalesce(host."spec" #>> '{certificate,store}' = 'configMap', false) as "configMap"
      from placement join host on host."id" = placement."hostId"
      cross join lateral (
        select jsonb_path_query(host."spec",
          '$.routes[*] ? (!(@.match.port == 80)).**.namespace ? (@.type() == "string")')
        where host."spec" #>> '{tls,mode}' = 'PASSTHROUGH'
        union all
        select jsonb_path_query(placement."objects",
          '$[*] ? (@.kind == "Secret").namespace ? (@.type() == "string")')
      ) each(found)
      where placement."clusterId" = ${clusterId}::uuid and placement."wanted"
      union all
      select target."namespace", "deployment" is not null, false
      from delivery_target target join delivery on delivery."id" = "deliveryId"
      where "clusterId" = ${clusterId}::uuid
    ) place group by namespace order by 1 limit ${mostNamespaces + ingress.length}`)
  const backend = await tx.$queryRaw<readonly { readonly namespace: string }[]>(sql`
    select distinct found #>> '{}' as namespace
    from placement join host on host."id" = placement."hostId"
    cross join lateral jsonb_path_query(host."spec",
      '$.routes[*].to.**.namespace ? (@.type() == "string")') each(found)
    where placement."clusterId" = ${clusterId}::uuid and placement."wanted"
    order by 1 limit ${mostNamespaces + ingress.length}`)
  const secured = await tx.$queryRaw<readonly { ingress: string }[]>(sql`
    select distinct placement."ingress"
    from placement join host on host."id" = placement."hostId"
    where placement."clusterId" = ${clusterId}::uuid and placement."wanted"
      and jsonb_path_exists(host."spec", '$.routes[*].**.tls')`)
  const tlsTo = secured.flatMap(({ ingress: name }) => ingresses[name]?.namespace ?? [])
  const names = (some: readonly Row[]) =>
    some.slice(0, mostNamespaces).map(({ namespace }) => namespace)
  return {
    ingress,
    backendTls: [...new Set(tlsTo)],
    workload: names(rows.filter(({ namespace }) => !ingress.includes(namespace))),
    backend: backend
      .map(({ namespace }) => namespace)
      .filter((namespace) => !ingress.includes(namespace))
      .slice(0, mostNamespaces),
    restart: names(rows.filter(({ restart }) => restart)),
    configMap: names(rows.filter(({ configMap }) => configMap)),
    mesh: [meshNamespace],
  }
}

type Row = {
  readonly namespace: string
  readonly restart: boolean
  readonly configMap: boolean
}

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
  const rows = await tx.$queryRaw<readonly { namespace: string }[]>(sql`
    select distinct found #>> '{}' as namespace
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
    order by 1 limit ${mostNamespaces + ingress.length}`)
  const workload = rows.map(({ namespace }) => namespace).filter((each) => !ingress.includes(each))
  return { ingress, workload: workload.slice(0, mostNamespaces), mesh: [meshNamespace] }
}

/** A cluster that somebody else runs, as the tests are told of it. */
export type RealCluster = {
  /** Path of the kubeconfig that is registered: the rights that Gatesmith says it needs, and no others. */
  readonly kubeconfig: string
  /** Path of one that may do everything; undefined where it is not told. */
  readonly admin: string | undefined
  /** host:port of the ingress gateway's TLS port. */
  readonly ingress: string
  /** The port of plain HTTP on that host; undefined where it cannot be reached. */
  readonly plainPort: number | undefined
  /** host:port of the admin interface of the gateway's Envoy, where ports cannot be forwarded. */
  readonly envoyAdmin: string | undefined
}

/** The real cluster to run on, by GATESMITH_TEST_KUBECONFIG and GATESMITH_TEST_INGRESS, and
 *  GATESMITH_TEST_ADMIN_KUBECONFIG, GATESMITH_TEST_PLAIN_PORT and GATESMITH_TEST_ENVOY_ADMIN where there is
 *  such. Undefined: the sandbox. */
export function realCluster(): RealCluster | undefined {
  const { GATESMITH_TEST_KUBECONFIG: kubeconfig, GATESMITH_TEST_INGRESS: ingress } = process.env
  if (kubeconfig === undefined || ingress === undefined) return undefined
  const plain = process.env.GATESMITH_TEST_PLAIN_PORT
  return {
    kubeconfig,
    ingress,
    admin: process.env.GATESMITH_TEST_ADMIN_KUBECONFIG,
    plainPort: plain === undefined ? undefined : Number(plain),
    envoyAdmin: process.env.GATESMITH_TEST_ENVOY_ADMIN,
  }
}

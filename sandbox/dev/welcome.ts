/** Where everything is. */
export type Places = {
  readonly state: string
  readonly host: string
  readonly url: string
  /** A link that signs a browser in to the console, once. */
  readonly signIn: string
  readonly tlsPort: number
  readonly plainPort: number
  readonly seconds: number
}

/** What to paste: the runbook's own checks, which now really work. */
export function welcome(at: Places): string {
  const files = at.state.replace(/\/+$/, '')
  const resolve = (name: string, port: number) => `--resolve ${name}:${port}:${at.host}`
  const https = (name: string, path: string, more = '') =>
    `  curl ${resolve(name, at.tlsPort)} --cacert ${files}/ca.crt${more} https://${name}:${at.tlsPort}${path}`
  const http = (name: string, path: string) =>
    `  curl -i ${resolve(name, at.plainPort)} http://${name}:${at.plainPort}${path}`
  const withClient = ` --cert ${files}/client.crt --key ${files}/client.key`
  return `
Ready in ${at.seconds.toFixed(1)} s. This is a sandbox: a cluster for trying, inside this process.

Several hosts, one gateway, a certificate each:
${https('httpbin.example.com', '/status/418')}
${https('helloworld.example.com', '/hello')}
${http('httpbin.example.com', '/status/418')}
${http('helloworld.example.com', '/hello')} -H 'Host: helloworld.example.com'

Client certificates: refused without, served with:
${https('mutual.example.com', '/status/418')}
${https('mutual.example.com', '/status/418', withClient)}

TLS that the backend ends itself:
${https('passthrough.example.com', '/')}

The cluster, as Kubernetes tells it:
  kubectl --kubeconfig ${files}/kubeconfig get gateways,virtualservices,secrets -A

The API, with the platform admin's key in ${files}/token:
  curl -H "Authorization: Bearer $(cat ${files}/token)" ${at.url}/v1/tenants/example/hosts/httpbin.example.com

Console  ${at.signIn}
         (signs you in once, within a day; after that with the token)
Docs     ${at.url}/docs
GraphQL  ${at.url}/graphiql  (paste the token there)

Ctrl-C stops everything; the state stays in ${files}.`
}

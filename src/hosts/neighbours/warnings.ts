import { type LetIn, opensWay, type Served } from '../clients.ts'
import { type CompleteSpec, namesOf } from '../host.ts'
import { certifies, coversName } from '../request/hostname.ts'
import type { Surroundings } from './surroundings.ts'

/** What is served as it was asked for, and whoever asked may not know. */
export function warnings(
  host: Served & Pick<CompleteSpec, 'aliases' | 'certificate'>,
  { letIn, neighbours }: Surroundings,
): readonly string[] {
  const { name, tls, http } = host
  const own = namesOf(name, host).map((each) => ({ ...host, name: each }))
  return [
    ...(letIn && !letIn.onlyOwn ? [others(letIn)] : []),
    ...(tls.mode === 'MUTUAL' && http === 'serve'
      ? [`Port 80 serves ${name} to everybody, without asking for a certificate`]
      : []),
    ...(host.certificate.store === 'configMap'
      ? [
          `The private key of ${name} lies in a ConfigMap, as was asked for: whoever may read ConfigMaps of its namespace has it. Use a Secret (certificate.store "secret")`,
        ]
      : []),
    ...neighbours.flatMap((other) =>
      own.flatMap((each) => [...between(each, other), ...between(other, each)]),
    ),
  ]
}

function others({ authority, subjectAltName }: LetIn): string {
  return subjectAltName === null
    ? `Everybody who has a certificate of "${authority}" is let in, whichever tenant it was issued to`
    : `Certificates that lead to "${authority}" are issued elsewhere, too, where nothing keeps them from naming this tenant: choose another clientAuthority`
}

function between(outer: Served, inner: Served): readonly string[] {
  if (outer.name === inner.name || !coversName(outer.name, inner.name)) return []
  return [
    // Put side by side by a release that did not refuse it.
    ...(opensWay(outer, inner)
      ? [
          `A client that is connected to ${outer.name} can ask for ${inner.name} without the certificate that is demanded there: demand the same of both, or name hosts one by one instead of ${outer.name}`,
        ]
      : []),
    // RFC 9113 9.1.1.
    ...(certifies(outer.name, inner.name)
      ? [
          `The certificate of ${outer.name} covers ${inner.name}, on the same ingress: a browser may ask for it over an HTTP/2 connection that it has for another name, and then the routes of ${outer.name} answer`,
        ]
      : []),
    ...(inner.http === 'off' && outer.http === 'serve'
      ? [`Port 80 is off for ${inner.name}, and ${outer.name} answers for it there`]
      : []),
  ]
}

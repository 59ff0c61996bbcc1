import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import { isForbiddenAddress, partsOf, safeLookup } from '../addresses.ts'
import type { Ingress } from '../cluster.ts'
import { kinds } from '../kubernetes/kinds.ts'
import { includesLabels, type Kube, KubeError, type KubeObject } from '../kubernetes/kube.ts'
import { factsOf, type Holding } from './holdings.ts'

/** How many names of an ingress are asked for, how many at a time, and how long each may take. */
const limits = { names: 100, lanes: 8, milliseconds: 3000 } as const

const GatewaySpec = Type.Object({
  selector: Type.Optional(Type.Record(Type.String(), Type.String())),
  servers: Type.Array(
    Type.Object({
      hosts: Type.Optional(Type.Array(Type.String())),
      tls: Type.Optional(
        Type.Object({
          mode: Type.Optional(Type.String()),
          credentialName: Type.Optional(Type.String()),
        }),
      ),
    }),
  ),
})

type Named = { readonly name: string; readonly credential: string; readonly gateway: string }

/** What an ingress serves for the names that Gateways of others have there, seen by handshakes: where no Envoy can be
 *  asked. It takes no right beside that of seeing Gateways, and shows what is served alone. Names of hosts that are ours
 *  are not asked for. It never throws for what the cluster does. */
export async function seenAt(
  kube: Kube,
  ingress: Ingress,
  ours: ReadonlySet<string>,
): Promise<readonly Holding[]> {
  const left = (await namesAt(kube, ingress)).filter(({ name }) => !ours.has(name))
  const queue = left.slice(0, limits.names).values()
  const seen: Holding[] = []
  const lane = async () => {
    for (const { name, credential, gateway } of queue) {
      const leaf = await leafFor(ingress.address, name.replace(/^\*\./, 'gatesmith-probe.'))
      const facts = leaf && factsOf(leaf)
      if (!facts) continue
      const place = { credential, servedNames: [name], gateways: [gateway] }
      seen.push({ ...place, ...facts, chainLength: 0 })
    }
  }
  await Promise.all(Array.from({ length: limits.lanes }, lane))
  return joined(seen)
}

/** What several names have of one credential is one. */
function joined(seen: readonly Holding[]): readonly Holding[] {
  const groups = Map.groupBy(seen, (each) => `${each.credential} ${each.fingerprintSha256}`)
  return [...groups.values()].flatMap((same) => {
    const [first] = same
    const servedNames = same.flatMap((each) => each.servedNames).toSorted()
    const gateways = [...new Set(same.flatMap((each) => each.gateways))].toSorted()
    return first ? [{ ...first, servedNames, gateways }] : []
  })
}

async function namesAt(kube: Kube, { selector }: Ingress): Promise<readonly Named[]> {
  try {
    const all = await kube.list(kinds.istioGateway)
    const named = all.flatMap((gateway) => namesIn(gateway, selector))
    return [...new Map(named.map((each) => [each.name, each])).values()]
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    return []
  }
}

function namesIn(
  { metadata, spec }: KubeObject & { readonly spec?: unknown },
  selector: Ingress['selector'],
): readonly Named[] {
  if (!conforms(GatewaySpec, spec) || !includesLabels(selector, spec.selector ?? {})) return []
  const gateway = `${metadata.namespace ?? ''}/${metadata.name}`.slice(0, 500)
  return spec.servers.flatMap(({ hosts = [], tls }) => {
    const terminates = tls?.mode !== undefined && !/PASSTHROUGH$/.test(tls.mode)
    const credential = `kubernetes://${tls?.credentialName ?? ''}`.slice(0, 500)
    return (terminates ? hosts : []).flatMap((host) => {
      const name = host.slice(host.indexOf('/') + 1).toLowerCase()
      return /^(\*\.)?[a-z0-9._-]{1,250}$/.test(name) ? [{ name, credential, gateway }] : []
    })
  })
}

/** The certificate that is shown for a name; undefined: none is. */
function leafFor(address: string, name: string): Promise<X509Certificate | undefined> {
  const { host, port } = partsOf(address)
  if (isForbiddenAddress(host) || isIP(name) > 0) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const socket = connect({
      ...{ host, port, lookup: safeLookup, servername: name },
      // What is served is wanted, whether it can be trusted or not.
      rejectUnauthorized: false,
    })
    const end = (leaf: X509Certificate | undefined) => {
      clearTimeout(late)
      socket.destroy()
      resolve(leaf)
    }
    const late = setTimeout(() => end(undefined), limits.milliseconds)
    socket.once('secureConnect', () => end(socket.getPeerX509Certificate()))
    socket.once('error', () => end(undefined))
  })
}

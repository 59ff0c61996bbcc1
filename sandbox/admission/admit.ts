import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { badRequest, invalid, notFound, wrong } from '../apiserver/status.ts'
import { amend, at, type Fields, fields, isFields, text } from '../json.ts'
import {
  apiVersion,
  destinationRules,
  gateways,
  type Kind,
  namespaces,
  resourceName,
  virtualServices,
} from '../kinds.ts'
import type { Store } from '../store.ts'
import { defaulted, undecodable, violations } from './core.ts'
import { judgeDestinationRule } from './destinationrule.ts'
import { judgeGateway } from './gateway.ts'
import { check } from './schema.ts'
import { schemas } from './schemas.ts'
import { judgeVirtualService } from './virtualservice.ts'
import type { Verdict } from './webhook.ts'

/** What a request to write says besides the object. */
export type Write = {
  readonly kind: Kind
  readonly version: string
  readonly namespace: string
  readonly name: string
  readonly manager: string
  readonly dryRun: boolean
  readonly force: boolean
  readonly fieldValidation: string
}

/** Now, in whole seconds, as Kubernetes keeps time. */
export function timestamp(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`
}

/** Throws 400 for unknown fields when the request asked for strictness. */
export function strict(write: Write, unknown: readonly string[]): void {
  if (write.fieldValidation !== 'Strict' || unknown.length === 0) return
  const { kind, version } = write
  const each = unknown.map((field) => `unknown field "${field}"`).join(', ')
  throw badRequest(
    `${kind.kind} in version "${version}" cannot be handled as a ${kind.kind}: strict decoding error: ${each}`,
  )
}

/** The way of every object into the store: decoding, defaults, validation, the webhook, and the facts
 *  that are the server's alone. */
export function admit(store: Store, write: Write, wanted: Fields, live: Fields | undefined) {
  const { kind, namespace } = write
  if (kind.namespaced && !store.get(namespaces, '', namespace))
    throw notFound(namespaces, namespace)
  const { value, unknown, causes } = check(schemas[resourceName(kind)] ?? 'any', wanted)
  strict(write, unknown)
  const bad = kind.plural === 'secrets' ? undecodable(wanted) : []
  if (bad.length > 0)
    throw badRequest(
      `Secret in version "v1" cannot be handled as a Secret: illegal base64 data in data[${bad.join(', ')}]`,
    )
  const object = withFacts(write, defaulted(kind, isFields(value) ? value : wanted), live)
  const found = [...causes, ...violations(kind, object, live)]
  if (kind === namespaces && write.namespace)
    found.push(wrong('metadata.namespace', write.namespace, 'not allowed'))
  if (found.length > 0) throw invalid(kind, text(object, 'metadata', 'name'), found)
  const verdict = judge(kind, object)
  if (verdict.errors.length > 0) {
    const counted = `${verdict.errors.length} errors occurred:\n\t* ${verdict.errors.join('\n\t* ')}\n\n`
    const told = verdict.errors.length === 1 ? verdict.errors[0] : counted
    throw badRequest(
      `admission webhook "validation.istio.io" denied the request: configuration is invalid: ${told}`,
    )
  }
  const ignored = write.fieldValidation === 'Ignore' ? [] : unknown
  return {
    object,
    warnings: [...ignored.map((field) => `unknown field "${field}"`), ...verdict.warnings],
  }
}

function judge(kind: Kind, object: Fields): Verdict {
  if (kind === gateways) return judgeGateway(object)
  if (kind === destinationRules) return judgeDestinationRule(object)
  if (kind === virtualServices) return judgeVirtualService(object)
  return { errors: [], warnings: [] }
}

function withFacts(write: Write, object: Fields, live: Fields | undefined): Fields {
  const stored = fields(live, 'metadata')
  const changed = !isDeepStrictEqual(at(object, 'spec'), at(live, 'spec'))
  const generation = Number(at(stored, 'generation') ?? 0) + (changed ? 1 : 0)
  const metadata = amend(fields(object, 'metadata'), {
    uid: text(stored, 'uid') || randomUUID(),
    creationTimestamp: text(stored, 'creationTimestamp') || timestamp(),
    resourceVersion: text(stored, 'resourceVersion') || undefined,
    generation: write.kind.generations ? generation : undefined,
    deletionTimestamp: at(stored, 'deletionTimestamp'),
    deletionGracePeriodSeconds: at(stored, 'deletionGracePeriodSeconds'),
    managedFields: undefined,
    selfLink: undefined,
    ...(write.kind === namespaces
      ? {
          labels: {
            ...fields(object, 'metadata', 'labels'),
            'kubernetes.io/metadata.name': text(object, 'metadata', 'name'),
          },
        }
      : {}),
  })
  const status = write.kind.generations ? at(live, 'status') : at(object, 'status')
  return amend(object, {
    metadata,
    status,
    apiVersion: apiVersion(write.kind.group, write.kind.versions[0] ?? ''),
  })
}

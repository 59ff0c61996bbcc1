import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import type { Kind } from './kinds.ts'
import { type FieldConflict, KubeError, type KubeFault } from './kube.ts'

const Status = Type.Object({
  message: Type.Optional(Type.String()),
  details: Type.Optional(
    Type.Object({
      name: Type.Optional(Type.String()),
      causes: Type.Optional(
        Type.Array(
          Type.Object({
            reason: Type.Optional(Type.String()),
            message: Type.Optional(Type.String()),
            field: Type.Optional(Type.String()),
          }),
        ),
      ),
    }),
  ),
})

const faults: Readonly<Record<number, KubeFault>> = {
  400: 'invalid',
  401: 'unauthorized',
  403: 'forbidden',
  405: 'unsupported',
  409: 'conflict',
  410: 'expired',
  415: 'unsupported',
  422: 'invalid',
}

/** What a cluster answers instead of doing what was asked, as a fault; `kind` is what it was asked for. */
export function refusal(
  cause: { readonly code: number; readonly body: string },
  kind?: Kind,
): KubeError {
  const status = statusOf(cause.body)
  const message = (status.message ?? `The Kubernetes API answers ${cause.code}`).slice(0, 2000)
  // Only a Status that names an object is about one; a kind that is not served has a bare 404.
  if (cause.code === 404) {
    const named = status.details?.name !== undefined
    if (named) return new KubeError('not-found', message, { cause })
    const unserved = kind && `The cluster does not serve ${kind.apiVersion} ${kind.kind}`
    return new KubeError('unsupported', unserved ?? message, { cause })
  }
  return new KubeError(faultOf(cause.code, message), message, {
    cause,
    fields: heldByOthers(status),
  })
}

/** Server-side apply answers 500 where the schema of a kind, which may be that of an old Istio, lacks a field. */
function faultOf(code: number, message: string): KubeFault {
  if (code === 500 && message.includes('field not declared in schema')) return 'invalid'
  return faults[code] ?? 'unavailable'
}

const mostFields = 100

function heldByOthers({ details }: Type.Static<typeof Status>): readonly FieldConflict[] {
  const causes = (details?.causes ?? []).filter(({ reason }) => reason === 'FieldManagerConflict')
  return causes.slice(0, mostFields).map(({ message = '', field = '' }) => ({
    // `conflict with "kubectl-edit" using v1`
    manager: /"((?:[^"\\]|\\.)*)"/.exec(message)?.[1] ?? message.slice(0, 128),
    field: field.slice(0, 512),
  }))
}

function statusOf(body: string): Type.Static<typeof Status> {
  const value = jsonOf(body)
  return conforms(Status, value) ? value : {}
}

/** The value of a JSON text; undefined where it is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

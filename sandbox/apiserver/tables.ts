import { amend, type Fields, fields, type Json, text } from '../json.ts'
import type { Kind } from '../kinds.ts'

/** The objects as kubectl prints them: a meta.k8s.io Table, one row each. */
export function tableOf(
  kind: Kind,
  objects: readonly Fields[],
  options: { readonly now: Date; readonly include: string; readonly metadata: Fields },
): Json {
  const { now, include, metadata } = options
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: kind.columns.map(({ name }) => ({
      name,
      type: name === 'Data' ? 'integer' : 'string',
      format: name === 'Name' ? 'name' : '',
      description: '',
      priority: 0,
    })),
    rows: objects.map((object) => ({
      cells: kind.columns.map(({ cell }) => cell(object, now)),
      ...(include === 'None' ? {} : { object: include === 'Object' ? object : partial(object) }),
    })),
  }
}

function partial(object: Fields): Fields {
  const metadata = amend(fields(object, 'metadata'), { managedFields: undefined })
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata }
}

/** Does the Accept header ask for a Table before anything else we can answer? */
export function wantsTable(accept: string | undefined): boolean {
  return /^[^,]*as=Table/.test(accept ?? '')
}

/** The object as it is served in an API version. */
export function inVersion(kind: Kind, object: Fields, apiVersion: string): Fields {
  return text(object, 'apiVersion') === apiVersion && text(object, 'kind') === kind.kind
    ? object
    : { ...object, apiVersion, kind: kind.kind }
}

import type { Schemas } from '@gatesmith/client'

type PlannedChange = Schemas['PlannedChange']

/** A line of a plan: what is taken away, what is put there, or what is said about it. */
export type Line = { readonly sign: '+' | '-' | ' '; readonly text: string }

/** What a change of a Kubernetes object does to it, line by line, as a difference of files is read. */
export function difference(change: PlannedChange): readonly Line[] {
  const { fields, moreFields, secret, heldByOthers, refused, warnings } = change
  return [
    ...fields.flatMap(({ pointer, before, after, change: kind }) => [
      ...(kind === 'added'
        ? []
        : [{ sign: '-' as const, text: `${name(pointer)}: ${value(before)}` }]),
      ...(kind === 'removed'
        ? []
        : [{ sign: '+' as const, text: `${name(pointer)}: ${value(after)}` }]),
    ]),
    ...said(moreFields > 0 ? [`and ${moreFields} more`] : []),
    ...(secret ? ofSecret(secret) : []),
    ...said(heldByOthers.map(({ field, manager }) => `${field} is held by ${manager}`)),
    ...said(warnings),
    ...said(refused === null ? [] : [`Refused: ${refused}`]),
  ]
}

function ofSecret({
  keys,
  certificateBefore,
  certificateAfter,
}: Schemas['SecretChange']): readonly Line[] {
  const signs = { added: '+', changed: '+', removed: '-', kept: ' ' } as const
  const same = certificateBefore?.serial === certificateAfter?.serial
  const ends = (sign: '+' | '-', planned: Schemas['PlannedCertificate'] | null): readonly Line[] =>
    planned && !same
      ? [{ sign, text: `certificate ${planned.serial}, ends ${planned.notAfter.slice(0, 10)}` }]
      : []
  return [
    ...ends('-', certificateBefore),
    ...ends('+', certificateAfter),
    ...keys
      .filter(({ change }) => change !== 'kept')
      .map(({ key, change }) => ({ sign: signs[change], text: `${key} (${change}; never shown)` })),
  ]
}

function said(words: readonly string[]): readonly Line[] {
  return words.map((text) => ({ sign: ' ', text }))
}

/** A JSON Pointer (RFC 6901) as people write a path: spec.servers[0].hosts */
export function name(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part, at) => (/^\d+$/.test(part) ? `[${part}]` : at === 0 ? part : dotted(part)))
    .join('')
}

function dotted(part: string): string {
  return /^[\w-]+$/.test(part) ? `.${part}` : `["${part}"]`
}

function value(any: unknown): string {
  return typeof any === 'string' ? any : (JSON.stringify(any) ?? '—')
}

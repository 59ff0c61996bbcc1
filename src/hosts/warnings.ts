import type { CompleteSpec } from './host.ts'
import type { Surroundings } from './surroundings.ts'

/** What is served as it was asked for, and whoever asked may not know. */
export function warnings(
  { name, spec }: { readonly name: string; readonly spec: CompleteSpec },
  { letIn }: Surroundings,
): readonly string[] {
  const { tls, http } = spec
  return [
    ...(letIn && !letIn.onlyOwn
      ? [
          `Everybody who has a certificate of "${letIn.authority}" is let in, whichever tenant it was issued to`,
        ]
      : []),
    ...(tls.mode === 'MUTUAL' && http === 'serve'
      ? [`Port 80 serves ${name} to everybody, without asking for a certificate`]
      : []),
  ]
}

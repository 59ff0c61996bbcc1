import { type ReactNode, useId } from 'react'
import type { Schemas } from '../shared/api.ts'

/** What the service says is wrong, field by field. */
export type Violations = readonly Schemas['Violation'][]

/** What the service says is wrong with a field, by its JSON Pointer. */
export function wrongWith(
  violations: Violations,
  ...pointers: readonly string[]
): string | undefined {
  const found = violations.filter(({ field }) =>
    pointers.some((pointer) => field === pointer || field.startsWith(`${pointer}/`)),
  )
  return found.length > 0 ? found.map(({ message }) => message).join('; ') : undefined
}

/** A field with its name, a hint, and what is wrong with it. */
export function Field({
  name,
  hint,
  wrong,
  children,
}: {
  readonly name: string
  readonly hint?: string
  readonly wrong?: string | undefined
  readonly children: (ids: {
    readonly id: string
    readonly 'aria-describedby': string | undefined
    readonly 'aria-invalid': boolean
  }) => ReactNode
}) {
  const id = useId()
  const said = wrong ?? hint
  return (
    <div className="field">
      <label htmlFor={id}>{name}</label>
      {children({
        id,
        'aria-describedby': said === undefined ? undefined : `${id}-said`,
        'aria-invalid': wrong !== undefined,
      })}
      {said === undefined ? null : (
        <p id={`${id}-said`} className={wrong === undefined ? 'hint' : 'wrong'}>
          {said}
        </p>
      )}
    </div>
  )
}

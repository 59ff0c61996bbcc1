import type { FormEvent, ReactNode } from 'react'
import { ProblemNote } from './problem.tsx'

/** Asks once more before something is done that cannot be taken back: what it will come to, then the button that does it
 *  and the one that leaves all as it is. */
export function Final({
  doing,
  words,
  onSubmit,
  onClose,
  children,
}: {
  /** How far it is. */
  readonly doing: { readonly isPending: boolean; readonly error: Error | null }
  /** What the button says, before and while it is done. */
  readonly words: readonly [before: string, meanwhile: string]
  readonly onSubmit: () => void
  readonly onClose: () => void
  readonly children: ReactNode
}) {
  const [before, meanwhile] = words
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onSubmit()
  }
  return (
    <form onSubmit={submit}>
      {children}
      {doing.error ? <ProblemNote error={doing.error} /> : null}
      <div className="buttons">
        <button type="submit" className="button button-danger" aria-disabled={doing.isPending}>
          {doing.isPending ? meanwhile : before}
        </button>
        <button type="button" className="button" onClick={onClose}>
          Keep it
        </button>
      </div>
    </form>
  )
}

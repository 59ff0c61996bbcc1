import { type QueryKey, useMutation, useQueryClient } from '@tanstack/react-query'
import type { ReactNode } from 'react'

/** A button that does something; while it is under way it says so, and what may not be done is told with its reason. */
export function ActionButton({
  children,
  refused,
  busy = false,
  tone,
  onPress,
}: {
  readonly children: ReactNode
  /** Why who is signed in may not do it. */
  readonly refused?: string | undefined
  readonly busy?: boolean
  readonly tone?: 'primary' | 'danger'
  readonly onPress: () => void
}) {
  const off = refused !== undefined || busy
  return (
    <button
      type="button"
      className={tone ? `button button-${tone}` : 'button'}
      // A button that is disabled cannot be focused, and would not say why.
      aria-disabled={off}
      data-tip={refused}
      onClick={() => {
        if (!off) onPress()
      }}
    >
      {busy ? <span className="pulse" aria-hidden="true" /> : null}
      {children}
    </button>
  )
}

/** Something that is done at the service, and the queries whose answers are others afterwards. */
export function useAction<Input, Answer>(
  act: (input: Input) => Promise<Answer>,
  changes: readonly QueryKey[] = [],
) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: act,
    onSuccess: async () => {
      await Promise.all(changes.map((queryKey) => client.invalidateQueries({ queryKey })))
    },
  })
}

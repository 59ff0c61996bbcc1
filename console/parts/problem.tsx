import { ProblemError } from '@gatesmith/client'
import { Icon } from './icons.tsx'

/** A refusal or a failure, as the service says it: what it is, what to do, and field by field what is wrong. */
export function ProblemNote({
  error,
  onRetry,
}: {
  readonly error: unknown
  readonly onRetry?: () => void
}) {
  const problem = error instanceof ProblemError ? error : undefined
  const message = error instanceof Error ? error.message : String(error)
  const title = problem?.title ?? 'The service could not be asked'
  // One alone is often the whole sentence already.
  const violations = (problem?.violations ?? []).filter(({ message: said }) => said !== message)
  return (
    <div className="note note-bad" role="alert">
      <Icon name="bad" />
      <div>
        <strong>{title}</strong>
        {message === title ? null : <p>{message}</p>}
        {violations.length > 0 ? (
          <ul>
            {violations.map(({ field, message: said }) => (
              <li key={`${field} ${said}`}>
                {field === '' ? null : <code>{field}</code>} {said}
              </li>
            ))}
          </ul>
        ) : null}
        {problem?.status === 401 ? (
          <p>
            You are not signed in any more. Sign in in another tab and come back: what you have
            entered here stays.
          </p>
        ) : null}
        {problem?.requestId === undefined ? null : (
          <p className="quiet">
            {problem.status} {problem.type} · request {problem.requestId}
          </p>
        )}
        {onRetry ? (
          <button type="button" className="button" onClick={onRetry}>
            Try again
          </button>
        ) : null}
      </div>
    </div>
  )
}

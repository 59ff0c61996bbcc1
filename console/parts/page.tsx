import type { UseQueryResult } from '@tanstack/react-query'
import { type ReactNode, useEffect } from 'react'
import { Link } from 'wouter'
import { ProblemNote } from './problem.tsx'

type PageProps = {
  readonly title: string
  readonly about?: ReactNode
  readonly actions?: ReactNode
  /** Where it hangs. */
  readonly up?: { readonly to: string; readonly name: string }
  readonly children: ReactNode
}

/** A view: its title, which the window has too, a sentence below it, and what can be done beside it. */
export function Page({ title, about, actions, up, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Gatesmith`
  }, [title])
  return (
    <div className="page">
      <header className="page-head">
        <div>
          {up ? (
            <Link href={up.to} className="up">
              {up.name}
            </Link>
          ) : null}
          <h1 tabIndex={-1}>{title}</h1>
          {about === undefined ? null : <div className="about">{about}</div>}
        </div>
        {actions ? <div className="actions">{actions}</div> : null}
      </header>
      {children}
    </div>
  )
}

/** What a query answered; until then that it is asked, and if it was refused, why. Where all of a view comes of it,
 *  what stands above it until then. */
export function Loaded<T>({
  query,
  head,
  children,
}: {
  readonly query: UseQueryResult<T>
  readonly head?: Pick<PageProps, 'title' | 'up'>
  readonly children: (data: T) => ReactNode
}) {
  if (head && query.data === undefined) {
    return (
      <Page {...head}>
        <Loaded query={query}>{children}</Loaded>
      </Page>
    )
  }
  if (query.data !== undefined) return children(query.data)
  if (query.error) return <ProblemNote error={query.error} onRetry={() => void query.refetch()} />
  return <Waiting />
}

/** That something is being asked for. */
export function Waiting({ what = 'Loading' }: { readonly what?: string }) {
  return (
    <p className="waiting" role="status">
      <span className="pulse" aria-hidden="true" />
      {what} …
    </p>
  )
}

/** Nothing is there yet: why, and what to do first. */
export function Empty({
  title,
  children,
}: {
  readonly title: string
  readonly children?: ReactNode
}) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  )
}

/** A part of a view under a heading of its own. */
export function Section({
  title,
  aside,
  children,
}: {
  readonly title: string
  readonly aside?: ReactNode
  readonly children: ReactNode
}) {
  return (
    <section className="section">
      <div className="section-head">
        <h2>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  )
}

/** Facts by name. */
export function Facts({ of }: { readonly of: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value ?? '—'}</dd>
        </div>
      ))}
    </dl>
  )
}

/** A text to be copied, such as a serial or a fingerprint: shown whole, never alone. */
export function Code({ children }: { readonly children: string }) {
  return <code className="wrap">{children}</code>
}

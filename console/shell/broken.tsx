import { Icon } from '../parts/icons.tsx'
import { Page } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'

/** In the place of a view that could not be loaded: the service does not answer, or has another release by now. */
export function NotLoaded({ error }: { readonly error: unknown }) {
  return (
    <Page title="This view could not be loaded">
      <ProblemNote error={error} />
      <div className="buttons">
        <button type="button" className="button button-primary" onClick={() => location.reload()}>
          Load it anew
        </button>
      </div>
    </Page>
  )
}

/** That a view could not be shown, which is a fault of the console or a release that went on without this page. */
export function Broken({ error }: { readonly error: unknown }) {
  const said = error instanceof Error ? error.message : String(error)
  return (
    <main className="signin">
      <div className="signin-card stack">
        <h1>This view could not be shown</h1>
        <div className="note note-bad" role="alert">
          <Icon name="bad" />
          <div>
            <p>
              Load the page anew: the service may have another release by now. If that does not
              help, tell who runs it what follows.
            </p>
            <p>
              <code className="wrap">{said}</code>
            </p>
          </div>
        </div>
        <div className="buttons">
          <button type="button" className="button button-primary" onClick={() => location.reload()}>
            Load it anew
          </button>
          <a className="button" href="/console/">
            See what needs attention
          </a>
        </div>
      </div>
    </main>
  )
}

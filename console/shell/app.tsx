import { useQuery } from '@tanstack/react-query'
import { type ComponentType, lazy, Suspense, useRef } from 'react'
import { Link, Route, Switch } from 'wouter'
import { Attention } from '../attention/view.tsx'
import { Page, Waiting } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { NotLoaded } from './broken.tsx'
import { Frame } from './frame.tsx'
import { Live } from './live.tsx'
import { Me, sessionQuery, useSignedIn } from './session.ts'
import { SignIn } from './signin.tsx'

// The first view comes with the page; each other one when it is gone to.
const Expiry = later(async () => (await import('../expiry/view.tsx')).Expiry)
const Hosts = later(async () => (await import('../hosts/matrix.tsx')).Hosts)
const Host = later(async () => (await import('../hosts/host.tsx')).Host)
const Certificates = later(async () => (await import('../certificates/list.tsx')).Certificates)
const Certificate = later(async () => (await import('../certificates/certificate.tsx')).Certificate)
const Upload = later(async () => (await import('../certificates/upload.tsx')).Upload)
const Foreign = later(async () => (await import('../foreign/view.tsx')).Foreign)
const Elsewhere = later(async () => (await import('../authorities/elsewhere/view.tsx')).Elsewhere)
const Clusters = later(async () => (await import('../clusters/list.tsx')).Clusters)
const Cluster = later(async () => (await import('../clusters/cluster.tsx')).Cluster)
const Authorities = later(async () => (await import('../authorities/list.tsx')).Authorities)
const Authority = later(async () => (await import('../authorities/authority.tsx')).Authority)
const Audit = later(async () => (await import('../audit/view.tsx')).Audit)
const Ask = later(async () => (await import('../request/view.tsx')).Ask)

/** A view that is loaded when it is gone to; where it cannot be, that is said in its place. */
function later<Props extends object>(load: () => Promise<ComponentType<Props>>) {
  return lazy(async (): Promise<{ default: ComponentType<Props> }> => {
    try {
      return { default: await load() }
    } catch (error) {
      return { default: () => <NotLoaded error={error} /> }
    }
  })
}

/** The console: who is not signed in is asked to, who is sees the views. */
export function App() {
  const session = useQuery(sessionQuery)
  if (session.error) {
    return (
      <main className="signin">
        <ProblemNote error={session.error} onRetry={() => void session.refetch()} />
      </main>
    )
  }
  if (!session.data) return null
  if (!session.data.signedIn) return <SignIn session={session.data} />
  return <SignedIn />
}

function SignedIn() {
  const me = useSignedIn()
  const first = useRef<string>(undefined)
  const who = me.data && `${me.data.kind} ${me.data.id}`
  first.current ??= who
  // Somebody else has signed in by another tab: what is shown here was for who was signed in before.
  if (who !== first.current && who !== undefined) {
    location.reload()
    return null
  }
  if (me.error && !me.data) {
    return (
      <main className="signin">
        <ProblemNote error={me.error} onRetry={() => void me.refetch()} />
      </main>
    )
  }
  if (!me.data) return null
  return (
    <Me value={me.data}>
      <Live>
        <Frame>
          <Suspense fallback={<Waiting />}>
            <Switch>
              <Route path="/" component={Attention} />
              <Route path="/expiry" component={Expiry} />
              <Route path="/hosts" component={Hosts} />
              <Route path="/hosts/:tenant/:name">
                {({ tenant, name }) => <Host key={name} tenant={tenant} name={name} />}
              </Route>
              <Route path="/certificates" component={Certificates} />
              <Route path="/certificates/:tenant/:id">
                {({ tenant, id }) => <Certificate key={id} tenant={tenant} id={id} />}
              </Route>
              <Route path="/upload" component={Upload} />
              <Route path="/foreign" component={Foreign} />
              <Route path="/clusters" component={Clusters} />
              <Route path="/clusters/:name">
                {({ name }) => <Cluster key={name} name={name} />}
              </Route>
              <Route path="/authorities" component={Authorities} />
              <Route path="/authorities/:name">
                {({ name }) => <Authority key={name} name={name} />}
              </Route>
              <Route path="/elsewhere" component={Elsewhere} />
              <Route path="/audit" component={Audit} />
              <Route path="/ask" component={Ask} />
              <Route>
                <Page title="There is no such view">
                  <Link href="/">See what needs attention</Link>
                </Page>
              </Route>
            </Switch>
          </Suspense>
        </Frame>
      </Live>
    </Me>
  )
}

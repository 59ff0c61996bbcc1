import { ProblemError } from '@gatesmith/client'
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { createRoot } from 'react-dom/client'
import { Router } from 'wouter'
import './design/words.css'
import './design/frame.css'
import './design/parts.css'
import './design/table.css'
import './design/views.css'
import { App } from './shell/app.tsx'
import { Broken } from './shell/broken.tsx'
import { sessionQuery } from './shell/session.ts'
import { applyTheme } from './shell/theme.tsx'

applyTheme()

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error) => {
      // A session that has ended is asked for anew: who is not signed in any more sees so.
      if (error instanceof ProblemError && error.status === 401) {
        void client.invalidateQueries({ queryKey: sessionQuery.queryKey })
      }
    },
  }),
  mutationCache: new MutationCache({
    onError: (error) => {
      // Another tab has begun another session: by its token, once it is here, the same may be tried again.
      if (error instanceof ProblemError && error.type === 'csrf-refused') {
        void client.invalidateQueries({ queryKey: sessionQuery.queryKey })
      }
    },
  }),
  defaultOptions: {
    // The client of the API asks again by itself, where that is of use.
    queries: { retry: false, staleTime: 15_000 },
    mutations: { retry: false },
  },
})

const place = document.getElementById('root')
if (place) {
  // What throws while it is shown takes all of the page away: then at least that is said.
  const root = createRoot(place, {
    onUncaughtError: (error) => root.render(<Broken error={error} />),
  })
  root.render(
    <QueryClientProvider client={client}>
      <Router base="/console">
        <App />
      </Router>
    </QueryClientProvider>,
  )
}

import { ProblemError } from '@gatesmith/client'
import { QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { createRoot } from 'react-dom/client'
import { Router } from 'wouter'
import './design/words.css'
import './design/frame.css'
import './design/parts.css'
import './design/table.css'
import './design/views.css'
import { App } from './shell/app.tsx'
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
  defaultOptions: {
    // The client of the API asks again by itself, where that is of use.
    queries: { retry: false, staleTime: 15_000 },
    mutations: { retry: false },
  },
})

const root = document.getElementById('root')
if (root) {
  createRoot(root).render(
    <QueryClientProvider client={client}>
      <Router base="/console">
        <App />
      </Router>
    </QueryClientProvider>,
  )
}

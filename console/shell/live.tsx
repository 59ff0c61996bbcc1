import { follow } from '@gatesmith/client'
import { type QueryClient, useQueryClient } from '@tanstack/react-query'
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react'
import { afterEvent } from '../hosts/follow.ts'
import type { MatrixRow } from '../hosts/queries.ts'
import { api, type Listed, type Schemas } from '../shared/api.ts'
import { useMe } from './session.ts'

type Told = Schemas['Event']

/** Whether what is shown follows what happens. */
type Following = 'connecting' | 'live' | 'off'

const State = createContext<Following>('off')

/** Whether what is shown follows what happens. */
export function useFollowing(): Following {
  return useContext(State)
}

/** Follows what happens, for every view inside: what an event is about is asked for anew, at most once a second. */
export function Live({ children }: { readonly children: ReactNode }) {
  const { tenant } = useMe()
  const client = useQueryClient()
  const [state, setState] = useState<Following>('connecting')
  useEffect(() => {
    const ended = new AbortController()
    const stale = staleness(client)
    let after: string | undefined
    const run = async () => {
      const asked = {
        ...(tenant === null ? {} : { tenant }),
        ...(after === undefined ? {} : { after }),
        signal: ended.signal,
        onReset: () => void client.invalidateQueries(),
      }
      setState('live')
      for await (const event of follow(api, asked)) {
        after = event.id
        stale.tell(event)
      }
    }
    const goOn = async () => {
      while (!ended.signal.aborted) {
        // Refused, or out of reach for long: what is shown is as old as it says, and is tried again.
        await run().catch(() => undefined)
        if (ended.signal.aborted) return
        setState('off')
        await new Promise((resolve) => setTimeout(resolve, 5_000))
      }
    }
    void goOn()
    return () => {
      ended.abort()
      stale.stop()
    }
  }, [client, tenant])
  return <State value={state}>{children}</State>
}

/** What is asked for anew: the nouns of the events of the last second, together. */
function staleness(client: QueryClient): {
  readonly tell: (event: Told) => void
  readonly stop: () => void
} {
  const nouns = new Set<string>()
  let moreThanCells = false
  let timer: ReturnType<typeof setTimeout> | undefined
  const flush = () => {
    timer = undefined
    for (const noun of nouns) {
      const isStale = ({ queryKey: [first, second] }: { queryKey: readonly unknown[] }) =>
        first === noun && (second !== 'matrix' || moreThanCells)
      void client.invalidateQueries({ predicate: isStale })
    }
    nouns.clear()
    moreThanCells = false
  }
  return {
    tell: (event) => {
      const { subject } = event
      if (subject.kind === 'host') {
        // A cell of the matrix is another at once, and a thousand hosts are not asked for because of it.
        let isCell = true
        client.setQueriesData<Listed<MatrixRow>>({ queryKey: ['hosts', 'matrix'] }, (list) => {
          const next = list && afterEvent(list, event)
          isCell &&= next !== undefined
          return next ?? list
        })
        moreThanCells ||= !isCell
      }
      nouns.add(`${subject.kind === 'delivery' ? 'deliverie' : subject.kind}s`)
      // A host's certificate is shown with it, and what ends is counted from both.
      if (subject.kind === 'host' || subject.kind === 'certificate') {
        nouns.add('certificates')
        nouns.add('expiry')
        nouns.add('repairs')
      }
      timer ??= setTimeout(flush, 1_000)
    },
    stop: () => clearTimeout(timer),
  }
}

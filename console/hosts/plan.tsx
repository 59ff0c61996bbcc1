import { useQuery } from '@tanstack/react-query'
import { ActionButton, useAction } from '../parts/action.tsx'
import { Icon } from '../parts/icons.tsx'
import { Empty, Loaded } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { answered, api, type Schemas } from '../shared/api.ts'
import { counted } from '../shared/when.ts'
import { useMay } from '../shell/session.ts'
import { difference } from './difference.ts'
import { type Host, planQuery, specOf } from './queries.ts'

/** What a push of a host, as it was asked for, would change now; and the push. */
export function CurrentPlan({ host, etag }: { readonly host: Host; readonly etag: string | null }) {
  const { tenant, name } = host
  const query = useQuery(planQuery({ tenant, name }))
  const mayApply = useMay('write-hosts')
  const applying = useAction(() => apply(host, etag), [['hosts'], ['plans'], ['probes']])
  return (
    <div className="stack">
      <h2>What a push would change now</h2>
      <p className="quiet">
        What is on the clusters, against what was asked for. Keys of Secrets are compared, and never
        shown.
      </p>
      <Loaded query={query}>{(plan) => <Plan plan={plan} />}</Loaded>
      {applying.error ? <ProblemNote error={applying.error} /> : null}
      {applying.isSuccess ? (
        <p className="note note-good" role="status">
          <span>It is being applied: the matrix tells how far it is.</span>
        </p>
      ) : null}
      <div className="buttons">
        <ActionButton
          tone="primary"
          refused={mayApply}
          busy={applying.isPending}
          onPress={() => applying.mutate(undefined)}
        >
          Apply
        </ActionButton>
        <ActionButton busy={query.isFetching} onPress={() => void query.refetch()}>
          Plan again
        </ActionButton>
      </div>
    </div>
  )
}

/** Put again as it is, a host is pushed again, over what others changed, too. */
function apply(host: Host, etag: string | null) {
  const path = { tenant: host.tenant, host: host.name }
  const header = etag === null ? {} : { 'If-Match': etag }
  return answered(
    api.PUT('/v1/tenants/{tenant}/hosts/{host}', {
      params: { path, header },
      body: specOf(host),
    }),
  )
}

/** A plan, cluster by cluster and object by object. */
export function Plan({ plan }: { readonly plan: Schemas['HostPlan'] }) {
  if (plan.clusters.length === 0) {
    return <Empty title="It is on no cluster, so nothing would change." />
  }
  return plan.clusters.map((each) => (
    <article
      key={`${each.cluster} ${each.ingress}`}
      className="card stack"
      aria-label={`Plan for ${each.cluster}`}
    >
      <div className="section-head">
        <h3>{each.ingress === 'default' ? each.cluster : `${each.cluster}, ${each.ingress}`}</h3>
        <span className="quiet">{summary(each.changes)}</span>
      </div>
      {each.error ? (
        <p className="note note-bad">
          <span>{each.error}</span>
        </p>
      ) : null}
      {each.conflicts.map((conflict) => (
        <p key={conflict} className="note note-bad">
          <Icon name="clash" />
          <span>In the way: {conflict}</span>
        </p>
      ))}
      {each.warnings.map((warning) => (
        <p key={warning} className="note note-warn">
          <Icon name="clash" />
          <span>{warning}</span>
        </p>
      ))}
      {each.changes.map((change) => (
        <Change key={`${change.kind} ${change.namespace} ${change.name}`} change={change} />
      ))}
    </article>
  ))
}

const verbs = { create: 'create', update: 'change', keep: 'leave', remove: 'remove' } as const

function summary(changes: readonly Schemas['PlannedChange'][]): string {
  const doing = changes.filter(({ action }) => action !== 'keep')
  if (doing.length === 0) return 'Nothing would change'
  const by = Map.groupBy(doing, ({ action }) => action)
  return [...by]
    .map(([action, some]) => `${counted(some.length, 'object')} to ${verbs[action]}`)
    .join(', ')
}

function Change({ change }: { readonly change: Schemas['PlannedChange'] }) {
  const { action, kind, namespace, name } = change
  const lines = difference(change)
  return (
    <div className={`change change-${action}`}>
      <p>
        <strong>{verbs[action]}</strong> {kind}{' '}
        <span className="wrap">
          {namespace}/{name}
        </span>
      </p>
      {lines.length === 0 ? null : (
        <pre
          className="lines"
          role="group"
          tabIndex={0}
          aria-label={`What changes in ${kind} ${name}`}
        >
          {lines.map(({ sign, text }, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: lines have no names, and are in their order
            <span key={at} className={`line line-${signs[sign]}`}>
              {sign} {text}
              {'\n'}
            </span>
          ))}
        </pre>
      )}
    </div>
  )
}

const signs = { '+': 'added', '-': 'removed', ' ': 'said' } as const

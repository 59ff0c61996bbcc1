import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { authoritiesQuery } from '../authorities/queries.ts'
import { clustersQuery } from '../clusters/queries.ts'
import { Choice, TenantChoice, useNarrowing } from '../parts/choice.tsx'
import { Empty, Loaded, Page, Section } from '../parts/page.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ends } from '../parts/time.tsx'
import { useNow } from '../shared/clock.ts'
import { counted } from '../shared/when.ts'
import { useMe } from '../shell/session.ts'
import { Chart } from './chart.tsx'
import { expiriesQuery, type Group, type Grouping, groupings, groupsQuery } from './queries.ts'
import { type Step, spanOf, spans, stepName, stepsOf } from './steps.ts'

const groupTitles: Readonly<Record<Grouping, string>> = {
  tenant: 'Tenant',
  authority: 'Authority',
  cluster: 'Cluster',
}

/** When certificates end, and of whom: what renews by itself apart from what does not. */
export function Expiry() {
  const now = useNow()
  const { tenant: own } = useMe()
  const { params, chosen, set } = useNarrowing()
  const name = spanOf(params.get('span'))
  const { within, by, days } = spans[name]
  const narrowing = Object.fromEntries(
    groupings.flatMap((each) => {
      const value = params.get(each) ?? (each === 'tenant' ? own : null)
      return value ? [[each, value]] : []
    }),
  )
  const expiries = useQuery(expiriesQuery({ ...narrowing, within, by }))
  const groups = useQuery(groupsQuery({ ...narrowing, within }))
  const hrefOf = (step: Step) =>
    `/console/certificates?${new URLSearchParams({ ...narrowing, from: step.from.toISOString(), to: step.to.toISOString() })}`
  return (
    <Page title="Expiry" about="What ends when, and whether anything renews it.">
      <div className="toolbar">
        <label className="choice">
          <span>Look ahead</span>
          <select value={name} onChange={(event) => set('span')(event.target.value)}>
            {Object.entries(spans).map(([key, { title }]) => (
              <option key={key} value={key}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <Narrowings chosen={chosen} set={set} />
      </div>
      <Loaded query={expiries}>
        {(told) => {
          const steps = stepsOf(told, { now, by, days })
          const all = told.reduce((sum, { count }) => sum + count, 0)
          const renewing = told.reduce((sum, each) => sum + each.renewing, 0)
          if (all === 0) return <NothingEnds title={spans[name].title} />
          return (
            <>
              <p className="legend">
                <span className="legend-renewing">
                  {counted(renewing, 'certificate')} renewed without being asked
                </span>
                <span className="legend-ending">
                  {counted(all - renewing, 'certificate')} that nothing renews
                </span>
              </p>
              <Chart steps={steps} by={by} hrefOf={hrefOf} />
              <details className="alternative">
                <summary>The same as a table</summary>
                <Steps steps={steps} by={by} hrefOf={hrefOf} />
              </details>
            </>
          )
        }}
      </Loaded>
      <Loaded query={groups}>
        {(told) => (
          <div className="thirds">
            {groupings
              .filter((each) => told[each].length > 0)
              .map((each) => (
                <Section key={each} title={`By ${each}`}>
                  <Groups of={each} groups={told[each]} onChoose={set(each)} />
                </Section>
              ))}
          </div>
        )}
      </Loaded>
    </Page>
  )
}

function Narrowings({ chosen, set }: Pick<ReturnType<typeof useNarrowing>, 'chosen' | 'set'>) {
  const clusters = useQuery(clustersQuery)
  const authorities = useQuery(authoritiesQuery)
  return (
    <>
      <TenantChoice value={chosen('tenant')} onChange={set('tenant')} />
      <Choice
        name="Authority"
        value={chosen('authority')}
        of={authorities.data?.map(({ name }) => name) ?? []}
        onChange={set('authority')}
      />
      <Choice
        name="Cluster"
        value={chosen('cluster')}
        of={clusters.data?.map(({ name }) => name) ?? []}
        onChange={set('cluster')}
      />
    </>
  )
}

function Steps({
  steps,
  by,
  hrefOf,
}: {
  readonly steps: readonly Step[]
  readonly by: 'day' | 'week'
  readonly hrefOf: (step: Step) => string
}) {
  const columns: readonly Column<Step>[] = [
    {
      id: 'from',
      header: by === 'day' ? 'Day (UTC)' : 'Week (UTC)',
      value: ({ from }) => from.toISOString(),
      cell: (step) => <a href={hrefOf(step)}>{stepName(step, by)}</a>,
    },
    { id: 'renewing', header: 'Renewed', value: ({ renewing }) => renewing, align: 'end' },
    { id: 'ending', header: 'Not renewed', value: ({ ending }) => ending, align: 'end' },
  ]
  return (
    <DataTable
      caption="Ends by day or week"
      noun={by}
      rows={steps.filter(({ renewing, ending }) => renewing + ending > 0)}
      columns={columns}
      idOf={({ from }) => from.toISOString()}
      empty={null}
      search={false}
    />
  )
}

function Groups({
  of,
  groups,
  onChoose,
}: {
  readonly of: Grouping
  readonly groups: readonly Group[]
  readonly onChoose: (key: string) => void
}) {
  const columns: readonly Column<Group>[] = [
    {
      id: 'key',
      header: groupTitles[of],
      value: ({ key }) => key,
      // What was uploaded has no authority here, and what no host has is on no cluster.
      cell: ({ key }) =>
        key === '' ? (
          of === 'authority' ? (
            <Link href="/certificates?origin=uploaded">uploaded</Link>
          ) : (
            <span className="quiet">none</span>
          )
        ) : (
          <button type="button" className="link" onClick={() => onChoose(key)}>
            {key}
          </button>
        ),
    },
    {
      id: 'ending',
      header: 'Not renewed',
      value: ({ count, renewing }) => count - renewing,
      align: 'end',
    },
    { id: 'renewing', header: 'Renewed', value: ({ renewing }) => renewing, align: 'end' },
    {
      id: 'soonestEnd',
      header: 'First ends',
      value: ({ soonestEnd }) => soonestEnd,
      cell: ({ soonestEnd }) => <Ends at={soonestEnd} brief />,
    },
  ]
  return (
    <DataTable
      caption={`Ends by ${of}`}
      noun={of}
      rows={groups}
      columns={columns}
      idOf={({ key }) => key}
      sortedBy={{ id: 'ending', desc: true }}
      empty={null}
      search={groups.length > 10}
    />
  )
}

function NothingEnds({ title }: { readonly title: string }) {
  return (
    <Empty title="Nothing ends in that time.">
      <p>
        Within {title.split(',')[0]} no certificate of these ends. Look further ahead, narrow it
        less, or <Link href="/ask">ask for a host</Link> if there is none yet.
      </p>
    </Empty>
  )
}

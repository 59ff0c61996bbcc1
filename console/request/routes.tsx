import { Field, type Violations, wrongWith } from '../parts/field.tsx'
import { type Draft, type DraftRoute, newRoute, type SimpleRoute } from './draft.ts'

type Props = {
  readonly draft: Draft
  readonly onChange: (draft: Draft) => void
  readonly violations: Violations
}

/** Where requests lead: one row for each route, the first that fits counts. */
export function Routes({ draft, onChange, violations }: Props) {
  const { routes } = draft
  const wrong = wrongWith(
    violations.filter(({ field }) => field === '/routes'),
    '/routes',
  )
  const setAt = (at: number, route: DraftRoute) =>
    onChange({ ...draft, routes: routes.with(at, route) })
  return (
    <fieldset className="card stack">
      <legend className="label">Where it leads</legend>
      {routes.map((route, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: routes have no names, and are in their order
        <div key={at} className="route">
          {'kept' in route ? (
            <p>
              A route that says more than this form has fields for; it stays as it is:{' '}
              <code className="wrap">{JSON.stringify(route.kept)}</code>
            </p>
          ) : (
            <Simple
              route={route}
              number={at + 1}
              wrong={(part) => wrongWith(violations, `/routes/${at}${part}`)}
              onChange={(next) => setAt(at, next)}
            />
          )}
          {routes.length > 1 ? (
            <button
              type="button"
              className="button"
              onClick={() => onChange({ ...draft, routes: routes.toSpliced(at, 1) })}
            >
              Take away<span className="unseen"> route {at + 1}</span>
            </button>
          ) : null}
        </div>
      ))}
      {wrong ? <p className="wrong">{wrong}</p> : null}
      <div className="buttons">
        <button
          type="button"
          className="button"
          onClick={() => onChange({ ...draft, routes: [...routes, newRoute] })}
        >
          Add a route
        </button>
      </div>
    </fieldset>
  )
}

function Simple({
  route,
  number,
  wrong,
  onChange,
}: {
  readonly route: SimpleRoute
  readonly number: number
  readonly wrong: (part: string) => string | undefined
  readonly onChange: (route: SimpleRoute) => void
}) {
  const set = (part: Partial<SimpleRoute>) => onChange({ ...route, ...part })
  const text = (key: 'path' | 'service' | 'namespace', name: string, part: string) => (
    <Field name={name} wrong={wrong(part)}>
      {(ids) => (
        <input
          {...ids}
          required
          spellCheck={false}
          value={route[key]}
          onChange={(event) => set({ [key]: event.target.value })}
        />
      )}
    </Field>
  )
  return (
    <fieldset className="route-fields">
      <legend className="unseen">Route {number}</legend>
      <Field name="Requests" wrong={wrong('/match')}>
        {(ids) => (
          <select
            {...ids}
            value={route.match}
            onChange={({ target: { value } }) =>
              set({ match: value === 'exact' ? 'exact' : 'prefix' })
            }
          >
            <option value="prefix">below the path</option>
            <option value="exact">of exactly the path</option>
          </select>
        )}
      </Field>
      {text('path', 'Path', '/match/prefix')}
      {text('service', 'Service', '/to/service')}
      {text('namespace', 'Namespace', '/to/namespace')}
      <Field name="Port" wrong={wrong('/to/port')}>
        {(ids) => (
          <input
            {...ids}
            type="number"
            min={1}
            max={65_535}
            required
            value={route.port}
            onChange={(event) => set({ port: event.target.value })}
          />
        )}
      </Field>
    </fieldset>
  )
}

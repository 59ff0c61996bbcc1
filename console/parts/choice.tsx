import { queryOptions, useQuery } from '@tanstack/react-query'
import { type FormEvent, useId } from 'react'
import { useSearchParams } from 'wouter'
import { api, listed } from '../shared/api.ts'
import { useMe } from '../shell/session.ts'

/** What a view is narrowed by, which stands in its address: what was chosen of each, and how that is changed; '' is any. */
export function useNarrowing() {
  const [params, setParams] = useSearchParams()
  const set = (key: string) => (value: string) =>
    setParams((before) => {
      const next = new URLSearchParams(before)
      if (value === '') next.delete(key)
      else next.set(key, value)
      return next
    })
  return { params, chosen: (key: string) => params.get(key) ?? '', set }
}

/** One of several names, or any of them. */
export function Choice({
  name,
  value,
  of,
  onChange,
  any = 'any',
}: {
  readonly name: string
  readonly value: string
  readonly of: readonly string[]
  readonly onChange: (value: string) => void
  readonly any?: string
}) {
  // What was chosen stays to be seen, although it may be none of these.
  const all = value === '' || of.includes(value) ? of : [value, ...of]
  return (
    <label className="choice">
      <span>{name}</span>
      <select value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{any}</option>
        {all.map((each) => (
          <option key={each}>{each}</option>
        ))}
      </select>
    </label>
  )
}

/** Asks the service for one name, or for every name below a domain: for a list that is too long to be fetched whole. */
export function NameFilter({
  value,
  onChange,
}: {
  readonly value: string
  readonly onChange: (value: string) => void
}) {
  const id = useId()
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    onChange(String(new FormData(event.currentTarget).get('name') ?? '').trim())
  }
  return (
    <form className="choice" onSubmit={submit}>
      <label htmlFor={id}>Name</label>
      <input id={id} name="name" defaultValue={value} placeholder="whole, or *.example.com" />
      <button type="submit" className="button">
        Find
      </button>
    </form>
  )
}

/** The choice of a tenant, for who sees several. */
export function TenantChoice({
  value,
  onChange,
}: {
  readonly value: string
  readonly onChange: (value: string) => void
}) {
  const { tenant } = useMe()
  const tenants = useTenants()
  if (tenant !== null) return null
  return <Choice name="Tenant" value={value} of={tenants} onChange={onChange} />
}

const tenantsQuery = queryOptions({
  queryKey: ['tenants', 'list'],
  queryFn: () =>
    listed((page) => api.GET('/v1/tenants', { params: { query: { ...page, fields: 'name' } } })),
})

/** The names of the tenants that who is signed in may see. */
export function useTenants(): readonly string[] {
  const { tenant } = useMe()
  const query = useQuery({ ...tenantsQuery, enabled: tenant === null })
  return tenant === null ? (query.data?.items.map(({ name }) => name) ?? []) : [tenant]
}

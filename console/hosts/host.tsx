import { Tab, TabList, TabPanel, TabProvider } from '@ariakit/react/tab'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import { ActionButton, useAction } from '../parts/action.tsx'
import { Facts, Loaded, Page } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { Ago, Ends } from '../parts/time.tsx'
import { answered, api } from '../shared/api.ts'
import { useMay } from '../shell/session.ts'
import { History } from './history.tsx'
import { Objects } from './objects.tsx'
import { CurrentPlan } from './plan.tsx'
import { type Host as HostShape, hostQuery, probeQuery } from './queries.ts'
import { Served } from './served.tsx'

type Place = { readonly tenant: string; readonly name: string }

/** A host: what was issued beside what is served, what carries it, what a push would change, and what was done to it. */
export function Host({ tenant, name }: Place) {
  const query = useQuery(hostQuery({ tenant, name }))
  const probe = useQuery(probeQuery({ tenant, name }))
  const mayRenew = useMay('write-certificates')
  const mayChange = useMay('write-hosts')
  const [tab, setTab] = useState(() => (location.hash === '#plan' ? 'plan' : 'served'))
  const renewing = useAction(renew, [['hosts'], ['certificates'], ['probes']])
  const certificate = query.data?.host.status.certificate
  const uploaded = query.data?.host.certificate.uploaded
  const probing = probe.isFetching
  return (
    <Page
      title={name}
      up={{ to: '/hosts', name: 'Hosts' }}
      about={query.data ? <About host={query.data.host} /> : undefined}
      actions={
        <>
          <ActionButton busy={probing} onPress={() => void probe.refetch()}>
            Probe now
          </ActionButton>
          <ActionButton
            refused={
              mayRenew ??
              (uploaded === undefined
                ? certificate
                  ? undefined
                  : 'It has no certificate yet'
                : 'Its certificate was uploaded: upload a successor')
            }
            busy={renewing.isPending}
            onPress={() => {
              if (certificate) renewing.mutate({ tenant, id: certificate.id })
            }}
          >
            Renew now
          </ActionButton>
          {uploaded !== undefined && mayRenew === undefined && certificate ? (
            <Link
              className="button"
              href={`/upload?${new URLSearchParams({ tenant, replaces: certificate.id })}`}
            >
              Upload a successor
            </Link>
          ) : null}
          {mayChange === undefined ? (
            <Link className="button" href={`/ask?${new URLSearchParams({ tenant, host: name })}`}>
              Change
            </Link>
          ) : null}
        </>
      }
    >
      {renewing.error ? <ProblemNote error={renewing.error} /> : null}
      {renewing.data ? (
        <p className="note note-good" role="status">
          <span>
            Renewed: the new certificate ends <Ends at={renewing.data.notAfter} brief />, and is on
            its way to the clusters.
          </span>
        </p>
      ) : null}
      <Loaded query={query}>
        {({ host, etag }) => (
          <TabProvider selectedId={tab} setSelectedId={(id) => setTab(id ?? 'served')}>
            <TabList className="tabs" aria-label={`About ${name}`}>
              <Tab id="served">Issued and served</Tab>
              <Tab id="plan">Plan</Tab>
              <Tab id="objects">Kubernetes objects</Tab>
              <Tab id="asked">Asked for</Tab>
              <Tab id="history">History</Tab>
            </TabList>
            <TabPanel tabId="served" unmountOnHide>
              <Served host={host} probe={probe} />
            </TabPanel>
            <TabPanel tabId="plan" unmountOnHide>
              <CurrentPlan host={host} etag={etag} />
            </TabPanel>
            <TabPanel tabId="objects" unmountOnHide>
              <Objects host={host} />
            </TabPanel>
            <TabPanel tabId="asked" unmountOnHide>
              <Asked host={host} />
            </TabPanel>
            <TabPanel tabId="history" unmountOnHide>
              <History tenant={tenant} name={name} />
            </TabPanel>
          </TabProvider>
        )}
      </Loaded>
    </Page>
  )
}

function renew({ tenant, id }: { readonly tenant: string; readonly id: string }) {
  return answered(
    api.POST('/v1/tenants/{tenant}/certificates/{id}/renew', {
      params: { path: { tenant, id } },
      body: {},
    }),
  )
}

function About({ host }: { readonly host: HostShape }) {
  const { tenant, tls, clusters, owner, contact } = host
  const whose = [owner, contact].filter((each) => each !== null).join(', ')
  return (
    <>
      {tls.mode} of {tenant} on {clusters.join(', ')}
      {whose === '' ? '' : ` · ${whose}`}
    </>
  )
}

/** What was asked for, in words. */
function Asked({ host }: { readonly host: HostShape }) {
  const { tls, http, certificate, routes, labels, aliases = [], generation } = host
  return (
    <div className="stack">
      <div className="card">
        <Facts
          of={[
            ['TLS', `${tls.mode}, ${tls.minVersion ?? 'any'} to ${tls.maxVersion ?? 'any'}`],
            ['Plain HTTP', http],
            ['Clients of', tls.clientAuthority ?? '—'],
            ['Also called', aliases.length > 0 ? aliases.join(', ') : '—'],
            ...(certificate.uploaded === undefined
              ? ([
                  [
                    'Certificate by',
                    <Link key="a" href={`/authorities/${certificate.authority}`}>
                      {certificate.authority}
                    </Link>,
                  ],
                  ['Key', certificate.keyAlgorithm],
                  [
                    'Good for',
                    certificate.validityDays === undefined
                      ? 'as long as its CA says'
                      : `${certificate.validityDays} days`,
                  ],
                ] as const)
              : ([
                  [
                    'Certificate',
                    <Link key="a" href={`/certificates/${host.tenant}/${certificate.uploaded}`}>
                      uploaded
                    </Link>,
                  ],
                ] as const)),
            [
              'Labels',
              Object.entries(labels)
                .map((pair) => pair.join('='))
                .join(', ') || '—',
            ],
            ['Asked for', <Ago key="c" at={host.createdAt} />],
            [
              'Last changed',
              <span key="u">
                <Ago at={host.updatedAt} /> (version {generation})
              </span>,
            ],
          ]}
        />
      </div>
      <h2>Routes</h2>
      <ol className="routes">
        {routes.map((route) => (
          <li key={JSON.stringify(route)}>
            <Route route={route} />
          </li>
        ))}
      </ol>
    </div>
  )
}

function Route({ route }: { readonly route: HostShape['routes'][number] }) {
  const { match, to, redirect } = route
  const path = match.exact ?? match.regex ?? match.prefix ?? '/'
  const how = match.exact ? 'exactly' : match.regex ? 'matching' : 'below'
  const destinations = to === undefined ? [] : Array.isArray(to) ? to : [to]
  return (
    <>
      {match.port ? `on port ${match.port}, ` : ''}
      {how} <code>{path}</code> →{' '}
      {redirect
        ? `redirected to ${redirect.scheme ?? 'the same scheme'} ${redirect.host ?? ''}${redirect.path ?? ''}`
        : destinations
            .map(({ service, namespace, port }) => `${service}.${namespace}:${port}`)
            .join(', ')}
    </>
  )
}

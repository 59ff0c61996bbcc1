import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useLocation } from 'wouter'
import { authoritiesQuery } from '../authorities/queries.ts'
import { ActionButton, useAction } from '../parts/action.tsx'
import { Code, Empty, Facts, Loaded, Page, Section } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ago, Ends, Moment } from '../parts/time.tsx'
import { answered, api } from '../shared/api.ts'
import { nameOf, subjectText } from '../shared/subject.ts'
import { counted } from '../shared/when.ts'
import { useMay } from '../shell/session.ts'
import { Download } from './download.tsx'
import { PutOn } from './puton.tsx'
import {
  type Leaf,
  leafQuery,
  lineageQuery,
  type ServedOn,
  servedQuery,
  type Which,
} from './queries.ts'
import { Remove } from './remove.tsx'
import { Revoke } from './revoke.tsx'

/** A certificate: its names and chain, what it replaced, where it is served, and what can be done with it. */
export function Certificate({ tenant, id }: Which) {
  const query = useQuery(leafQuery({ tenant, id }))
  return (
    <Loaded
      query={query}
      head={{ title: 'Certificate', up: { to: '/certificates', name: 'Certificates' } }}
    >
      {(leaf) => (
        <Page
          title={nameOf(leaf)}
          up={{ to: '/certificates', name: 'Certificates' }}
          about={
            <>
              <Status of={leaf.status} /> {leaf.profile} certificate of {tenant},{' '}
              {leaf.authority === null ? 'uploaded, ' : ''}signed by{' '}
              {leaf.authority === null ? (
                leaf.upload?.issuer
              ) : (
                <Link href={`/authorities/${leaf.authority}`}>{leaf.authority}</Link>
              )}
            </>
          }
          actions={
            leaf.origin === 'uploaded' ? <UploadActions leaf={leaf} /> : <Actions leaf={leaf} />
          }
        >
          <About leaf={leaf} />
          <Chain leaf={leaf} />
          <ServedTable tenant={tenant} id={id} />
          <Lineage tenant={tenant} id={id} />
        </Page>
      )}
    </Loaded>
  )
}

function Actions({ leaf }: { readonly leaf: Leaf }) {
  const { tenant, id, status, autoRenew, keySource } = leaf
  const refused = useMay('write-certificates')
  const [open, setOpen] = useState<'revoke' | 'download' | undefined>()
  const path = { tenant, id }
  const renewing = useAction(
    () =>
      answered(
        api.POST('/v1/tenants/{tenant}/certificates/{id}/renew', { params: { path }, body: {} }),
      ),
    [['certificates'], ['hosts']],
  )
  const switching = useAction(
    () =>
      answered(
        api.PATCH('/v1/tenants/{tenant}/certificates/{id}', {
          params: { path },
          body: { autoRenew: !autoRenew },
        }),
      ),
    [['certificates']],
  )
  const gone = status === 'revoked' ? 'It was revoked' : undefined
  const byCsr =
    keySource === 'caller' ? 'Its key is not here: send a new request by the API' : undefined
  return (
    <>
      <ActionButton
        refused={refused ?? gone ?? byCsr}
        busy={renewing.isPending}
        onPress={() => renewing.mutate(undefined)}
      >
        Renew
      </ActionButton>
      {leaf.host === null ? (
        <ActionButton
          refused={refused ?? gone}
          busy={switching.isPending}
          onPress={() => switching.mutate(undefined)}
        >
          {autoRenew ? 'Stop renewing it' : 'Renew it by itself'}
        </ActionButton>
      ) : null}
      <ActionButton onPress={() => setOpen('download')}>Download</ActionButton>
      <ActionButton tone="danger" refused={refused ?? gone} onPress={() => setOpen('revoke')}>
        Revoke
      </ActionButton>
      {renewing.data ? (
        <p className="note note-good" role="status">
          <span>
            Renewed by{' '}
            <Link href={`/certificates/${tenant}/${renewing.data.id}`}>
              one that ends <Ends at={renewing.data.notAfter} brief />
            </Link>
          </span>
        </p>
      ) : null}
      {renewing.error ? <ProblemNote error={renewing.error} /> : null}
      {switching.error ? <ProblemNote error={switching.error} /> : null}
      <Revoke leaf={leaf} open={open === 'revoke'} onClose={() => setOpen(undefined)} />
      <Download leaf={leaf} open={open === 'download'} onClose={() => setOpen(undefined)} />
    </>
  )
}

/** What can be done with one of a CA elsewhere: that alone renews and revokes it. */
function UploadActions({ leaf }: { readonly leaf: Leaf }) {
  const { tenant, id, replacedBy } = leaf
  const [open, setOpen] = useState<'put' | 'download' | 'remove' | undefined>()
  const [, goTo] = useLocation()
  const mayChange = useMay('write-certificates')
  const mayPut = useMay('write-hosts')
  const close = () => setOpen(undefined)
  return (
    <>
      <ActionButton refused={mayPut} onPress={() => setOpen('put')}>
        Put it on a host
      </ActionButton>
      <ActionButton
        refused={mayChange ?? (replacedBy === null ? undefined : 'Another took its place already')}
        onPress={() => goTo(`/upload?${new URLSearchParams({ tenant, replaces: id })}`)}
      >
        Upload a successor
      </ActionButton>
      <ActionButton onPress={() => setOpen('download')}>Download</ActionButton>
      <ActionButton tone="danger" refused={mayChange} onPress={() => setOpen('remove')}>
        Remove
      </ActionButton>
      <PutOn leaf={leaf} open={open === 'put'} onClose={close} />
      <Download leaf={leaf} open={open === 'download'} onClose={close} />
      <Remove leaf={leaf} open={open === 'remove'} onClose={close} />
    </>
  )
}

const keySources = {
  server: 'made here',
  caller: 'made by who asked for it',
  uploaded: 'uploaded',
} as const

function About({ leaf }: { readonly leaf: Leaf }) {
  const { renewal, autoRenew, host, tenant, subject } = leaf
  const names = [...leaf.dnsNames, ...leaf.ipAddresses, ...leaf.emailAddresses, ...leaf.uris]
  return (
    <div className="card">
      <Facts
        of={[
          ['Ends', <Ends key="e" at={leaf.notAfter} />],
          [
            'Renewal',
            renewal.attempts > 0 ? (
              <span key="r" className="wrong">
                Failed {renewal.attempts} ×: {renewal.lastError}
              </span>
            ) : leaf.origin === 'uploaded' ? (
              'its CA alone can: upload a successor'
            ) : autoRenew && renewal.at ? (
              <span key="r">
                by itself, <Ago at={renewal.at} />
              </span>
            ) : (
              'not by itself'
            ),
          ],
          ['Names', names.join(', ') || '—'],
          ['Subject', subjectText(subject) || '—'],
          [
            'Made for',
            host ? (
              <Link key="h" href={`/hosts/${tenant}/${encodeURIComponent(host)}`}>
                {host}
              </Link>
            ) : leaf.origin === 'uploaded' ? (
              'whatever host names it'
            ) : (
              'whoever asked for it'
            ),
          ],
          ['Good from', <Moment key="f" at={leaf.notBefore} />],
          ['Key', `${leaf.keyAlgorithm}, ${keySources[leaf.keySource]}`],
          ['Serial', <Code key="s">{leaf.serial}</Code>],
          ['SHA-256', <Code key="p">{leaf.fingerprintSha256 ?? '—'}</Code>],
          ...(leaf.leftOut.length > 0 ? ([['Left out', leaf.leftOut.join('; ')]] as const) : []),
          ...(leaf.revokedAt
            ? ([
                [
                  'Revoked',
                  <span key="v">
                    <Ago at={leaf.revokedAt} /> ({leaf.revocationReason})
                  </span>,
                ],
              ] as const)
            : []),
        ]}
      />
    </div>
  )
}

/** From the certificate up to its root, as far as who is signed in may see. */
function Chain({ leaf }: { readonly leaf: Leaf }) {
  const { data } = useQuery(authoritiesQuery)
  const above: { name: string; displayName: string; notAfter: string | null; kind: string }[] = []
  for (let name: string | null = leaf.authority; name !== null && above.length < 10; ) {
    const authority = data?.find((each) => each.name === name)
    if (!authority) break
    above.push(authority)
    name = authority.parent
  }
  return (
    <Section title="Chain">
      <ol className="chain card">
        <li>
          <strong>{nameOf(leaf)}</strong>
          <span className="below">
            ends <Ends at={leaf.notAfter} brief />
          </span>
        </li>
        {above.map(({ name, displayName, notAfter, kind }) => (
          <li key={name}>
            <Link href={`/authorities/${name}`}>{displayName}</Link>
            <span className="below">
              {kind}
              {notAfter === null ? null : (
                <>
                  , ends <Ends at={notAfter} brief />
                </>
              )}
            </span>
          </li>
        ))}
        {leaf.upload && leaf.upload.issuer !== leaf.upload.root ? (
          <li>
            {leaf.upload.issuer}
            <span className="below">
              {counted(
                leaf.chainPem.split('-----BEGIN').length - 1,
                'certificate is',
                'certificates are',
              )}{' '}
              served after the leaf
            </span>
          </li>
        ) : null}
        {leaf.upload ? (
          <li>
            {leaf.upload.root}
            <span className="below">
              root, {leaf.upload.publicRoot ? 'which browsers know' : 'which browsers do not know'}
            </span>
          </li>
        ) : null}
      </ol>
    </Section>
  )
}

const servedColumns: readonly Column<ServedOn>[] = [
  {
    id: 'cluster',
    header: 'Cluster',
    value: ({ cluster }) => cluster,
    cell: ({ cluster }) => <Link href={`/clusters/${cluster}`}>{cluster}</Link>,
  },
  { id: 'ingress', header: 'Ingress', value: ({ ingress }) => ingress },
  {
    id: 'status',
    header: 'State',
    value: ({ status }) => status,
    cell: ({ status }) => <Status of={status} />,
  },
  {
    id: 'provedAt',
    header: 'Seen to be served',
    value: ({ provedAt }) => provedAt ?? '',
    cell: ({ provedAt }) => <Ago at={provedAt} none="not yet" />,
  },
]

function ServedTable(which: Which) {
  const query = useQuery(servedQuery(which))
  return (
    <Section title="Served on">
      <Loaded query={query}>
        {(rows) => (
          <DataTable
            caption="Where it is served"
            noun="cluster"
            rows={rows}
            columns={servedColumns}
            idOf={({ cluster, ingress }) => `${cluster} ${ingress}`}
            search={rows.length > 10}
            empty={<Empty title="It was not seen to be served anywhere." />}
          />
        )}
      </Loaded>
    </Section>
  )
}

function Lineage(which: Which) {
  const query = useQuery(lineageQuery(which))
  const columns: readonly Column<Leaf>[] = [
    {
      id: 'createdAt',
      header: 'Issued',
      value: ({ createdAt }) => createdAt,
      cell: ({ createdAt }) => <Ago at={createdAt} />,
    },
    {
      id: 'which',
      header: 'Certificate',
      value: ({ id }) => id,
      cell: (leaf) =>
        leaf.id === which.id ? (
          <strong>this one</strong>
        ) : (
          <Link href={`/certificates/${leaf.tenant}/${leaf.id}`}>{nameOf(leaf)}</Link>
        ),
    },
    {
      id: 'reason',
      header: 'Why',
      value: ({ reason, cause }) => (reason ? `in place of the one before: ${reason}` : cause),
    },
    {
      id: 'status',
      header: 'State',
      value: ({ status }) => status,
      cell: ({ status }) => <Status of={status} />,
    },
    {
      id: 'notAfter',
      header: 'Ends',
      value: ({ notAfter }) => notAfter,
      cell: ({ notAfter }) => <Ends at={notAfter} brief />,
    },
  ]
  return (
    <Section title="Lineage">
      <Loaded query={query}>
        {(rows) => (
          <DataTable
            caption="What it replaced, and what took its place"
            noun="certificate"
            rows={rows}
            columns={columns}
            idOf={({ id }) => id}
            sortedBy={{ id: 'createdAt', desc: true }}
            search={rows.length > 10}
            empty={<Empty title="It replaced nothing, and nothing took its place." />}
          />
        )}
      </Loaded>
    </Section>
  )
}

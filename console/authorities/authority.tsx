import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { ActionButton } from '../parts/action.tsx'
import { Code, Empty, Facts, Loaded, Page, Section } from '../parts/page.tsx'
import { Status } from '../parts/status.tsx'
import { type Column, DataTable } from '../parts/table.tsx'
import { Ago, Ends, Moment } from '../parts/time.tsx'
import type { Schemas } from '../shared/api.ts'
import { saveFile } from '../shared/save.ts'
import { subjectText } from '../shared/subject.ts'
import { CaFacts } from './elsewhere/account.tsx'
import { Orders } from './elsewhere/orders.tsx'
import { keyStores, LifeLeft } from './list.tsx'
import { type Authority as AuthorityShape, authorityQuery, issuersQuery } from './queries.ts'
import { RotationSteps } from './rotation.tsx'

/** An authority: life left, its key, what tells of revocations, and how far a change of its key is. */
export function Authority({ name }: { readonly name: string }) {
  const query = useQuery(authorityQuery(name))
  return (
    <Loaded query={query} head={{ title: name, up: { to: '/authorities', name: 'Authorities' } }}>
      {(authority) => (
        <Page
          title={authority.displayName}
          up={{ to: '/authorities', name: 'Authorities' }}
          about={
            <>
              <Status of={authority.retiredAt ? 'retired' : 'active'} />{' '}
              {authority.acme ? 'a CA elsewhere' : authority.kind}
              {authority.parent ? (
                <>
                  {' '}
                  below <Link href={`/authorities/${authority.parent}`}>{authority.parent}</Link>
                </>
              ) : null}
              , for {authority.tenant ?? 'every tenant'}
            </>
          }
          actions={
            authority.acme ? (
              <Link href="/ask" className="button">
                Ask for a host
              </Link>
            ) : (
              <ActionButton
                onPress={() =>
                  saveFile(
                    `${name}.pem`,
                    new Blob([authority.pem, authority.chainPem], {
                      type: 'application/x-pem-file',
                    }),
                  )
                }
              >
                Download its certificate
              </ActionButton>
            )
          }
        >
          <About authority={authority} />
          {authority.acme ? (
            <Orders authority={name} />
          ) : (
            <>
              <Revocations authority={authority} />
              <RotationSteps authority={authority} />
              <Issuers name={name} />
            </>
          )}
        </Page>
      )}
    </Loaded>
  )
}

function About({ authority }: { readonly authority: AuthorityShape }) {
  const { profiles, defaultValidityDays, maxValidityDays, nameConstraints, subject } = authority
  const permitted = nameConstraints?.permitted?.dnsNames?.join(', ')
  if (authority.acme) return <CaFacts account={authority.acme} />
  return (
    <div className="card">
      <Facts
        of={[
          ['Life left', <LifeLeft key="l" {...authority} />],
          ['Key', `${authority.keyAlgorithm}, ${keyStores[authority.keyStore]}`],
          ['Subject', subjectText(subject)],
          ['Signs', `${profiles.join(', ')} certificates`],
          [
            'Good for',
            `${defaultValidityDays ?? 90} days${maxValidityDays ? `, ${maxValidityDays} at most` : ''}`,
          ],
          ['Names', permitted ?? 'any'],
          ['Good from', <Moment key="f" at={authority.notBefore ?? ''} />],
          ['Serial', <Code key="s">{authority.serial ?? ''}</Code>],
          ['SHA-256', <Code key="p">{authority.fingerprintSha256 ?? ''}</Code>],
        ]}
      />
    </div>
  )
}

/** What tells others of revocations: the lists, and OCSP. */
function Revocations({ authority }: { readonly authority: AuthorityShape }) {
  const { name, lists, signsLists, fullLists } = authority
  return (
    <Section title="Lists and OCSP">
      {fullLists.map(({ message }) => (
        <p key={message} className="note note-warn">
          <span>{message}</span>
        </p>
      ))}
      <div className="card">
        <Facts
          of={[
            [
              'Revocation lists',
              lists ? (
                <span key="n">
                  {lists.count}, of {lists.entries} revoked certificates
                </span>
              ) : signsLists ? (
                'none yet: made when somebody asks for one'
              ) : (
                'it may not sign any: OCSP alone tells'
              ),
            ],
            ['Published', <Ago key="p" at={lists?.publishedAt} />],
            ['Stale', <Ends key="s" at={lists?.staleAt} />],
            [
              'List',
              <a key="c" className="wrap" href={`/pki/${name}/crl`}>{`/pki/${name}/crl`}</a>,
            ],
            ['OCSP', <code key="o">{`/pki/${name}/ocsp`}</code>],
          ]}
        />
      </div>
    </Section>
  )
}

type Issuer = Schemas['Issuer']

const usages = {
  issue: 'signs',
  trust: 'is trusted',
  serve: 'is sent along',
  list: 'signs lists',
} as const

const columns: readonly Column<Issuer>[] = [
  {
    id: 'signedBy',
    header: 'Certificate',
    value: ({ signedBy }) => signedBy ?? 'itself',
    cell: ({ signedBy, serial }) => (
      <>
        signed by {signedBy ?? 'somebody elsewhere'}
        <span className="below wrap">serial {serial}</span>
      </>
    ),
  },
  { id: 'key', header: 'Key', value: ({ keyAlgorithm }) => keyAlgorithm },
  {
    id: 'usages',
    header: 'Used for',
    value: (issuer) => issuer.usages.map((each) => usages[each]).join(', ') || 'nothing any more',
  },
  {
    id: 'notAfter',
    header: 'Ends',
    value: ({ notAfter }) => notAfter,
    cell: ({ notAfter }) => <Ends at={notAfter} />,
  },
  {
    id: 'state',
    header: 'State',
    value: ({ revokedAt }) => (revokedAt ? 'revoked' : 'active'),
    cell: ({ revokedAt }) => <Status of={revokedAt ? 'revoked' : 'active'} />,
  },
]

function Issuers({ name }: { readonly name: string }) {
  const query = useQuery(issuersQuery(name))
  return (
    <Section title="Certificates of its keys">
      <Loaded query={query}>
        {({ items }) => (
          <DataTable
            caption="Certificates of its keys"
            noun="certificate"
            rows={items}
            columns={columns}
            idOf={({ id }) => id}
            search={items.length > 10}
            sortedBy={{ id: 'notAfter', desc: true }}
            empty={<Empty title="It has no certificate." />}
          />
        )}
      </Loaded>
    </Section>
  )
}

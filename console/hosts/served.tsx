import type { UseQueryResult } from '@tanstack/react-query'
import { Link } from 'wouter'
import { Code, Facts, Section, Waiting } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { Status } from '../parts/status.tsx'
import { Ago, Ends } from '../parts/time.tsx'
import type { Schemas } from '../shared/api.ts'
import type { Host, Placement } from './queries.ts'

type Probe = { readonly results: readonly Schemas['ProbeResult'][]; readonly at: string }

/** What was issued for a host, beside what each ingress serves when it is asked as a client would. */
export function Served({
  host,
  probe,
}: {
  readonly host: Host
  readonly probe: UseQueryResult<Probe>
}) {
  const { certificate, clusters, warnings } = host.status
  return (
    <div className="stack">
      {warnings.map((each) => (
        <p key={each} className="note note-warn">
          <span>{each}</span>
        </p>
      ))}
      <Section title="Issued">
        <div className="card">
          {certificate ? (
            <Facts
              of={[
                [
                  'Certificate',
                  <Link key="l" href={`/certificates/${host.tenant}/${certificate.id}`}>
                    {host.name}
                  </Link>,
                ],
                ['Ends', <Ends key="e" at={certificate.notAfter} />],
                [
                  'By',
                  host.certificate.authority === undefined ? (
                    'a CA elsewhere: it was uploaded'
                  ) : (
                    <Link key="a" href={`/authorities/${host.certificate.authority}`}>
                      {host.certificate.authority}
                    </Link>
                  ),
                ],
                ['Serial', <Code key="s">{certificate.serial}</Code>],
              ]}
            />
          ) : (
            <p>Nothing yet: it is being issued, or the clusters below say why not.</p>
          )}
        </div>
      </Section>
      <Section
        title="Served"
        aside={
          <span className="quiet">
            {probe.data ? (
              <>
                Probed <Ago at={probe.data.at} />
              </>
            ) : null}
          </span>
        }
      >
        {probe.error ? <ProblemNote error={probe.error} /> : null}
        {clusters.map((placement) => (
          <OnCluster
            key={`${placement.cluster} ${placement.ingress}`}
            placement={placement}
            probing={probe.isFetching}
            result={probe.data?.results.find(
              ({ cluster, ingress }) =>
                cluster === placement.cluster && ingress === placement.ingress,
            )}
          />
        ))}
      </Section>
    </div>
  )
}

function OnCluster({
  placement,
  result,
  probing,
}: {
  readonly placement: Placement
  readonly result: Schemas['ProbeResult'] | undefined
  readonly probing: boolean
}) {
  const { cluster, ingress, status, since, message, conditions, warnings, drift } = placement
  const where = ingress === 'default' ? cluster : `${cluster}, ${ingress}`
  return (
    <article className="card stack" aria-label={`Served on ${where}`}>
      <div className="section-head">
        <h3>
          <Link href={`/clusters/${cluster}`}>{where}</Link>
        </h3>
        <span>
          <Status of={status} />{' '}
          <span className="quiet">
            <Ago at={since} />
          </span>
        </span>
      </div>
      {message ? <p className="why">{message}</p> : null}
      {[
        ...warnings,
        ...conditions.flatMap((each) =>
          each.status === 'True' ? [] : [`${each.type}: ${each.message ?? each.status}`],
        ),
        ...drift.map(({ object, missing, fields }) =>
          missing
            ? `${object.kind} ${object.name} is gone`
            : `${object.kind} ${object.name} was changed by others: ${fields.join(', ')}`,
        ),
      ].map((each) => (
        <p key={each} className="note note-warn">
          <span>{each}</span>
        </p>
      ))}
      {result ? (
        <Result result={result} />
      ) : probing ? (
        <Waiting what="Asking it as a client would" />
      ) : (
        <p className="quiet">Not probed.</p>
      )}
    </article>
  )
}

function Result({ result }: { readonly result: Schemas['ProbeResult'] }) {
  const { tls, http, timings, error, address, checks } = result
  const milliseconds = (value: number | null) => (value === null ? '—' : `${value} ms`)
  return (
    <>
      <Facts
        of={[
          [
            'Serves the one issued',
            tls ? (
              tls.issuedIsServed ? (
                <Status key="i" of="yes" />
              ) : (
                <Status key="i" of="no" />
              )
            ) : (
              <Status key="i" of="failed" />
            ),
          ],
          ['Its end', tls ? <Ends key="e" at={tls.served.notAfter} /> : '—'],
          ['TLS', tls ? `${tls.version}, ${tls.cipher}` : '—'],
          ['HTTP', http ? `${http.status}` : '—'],
          ['Asked at', address],
          [
            'Took',
            `${milliseconds(timings.connect)} to connect, ${milliseconds(timings.tls)} for TLS, ${milliseconds(timings.firstByte)} to answer`,
          ],
        ]}
      />
      {error ? (
        <p className="note note-bad">
          <span>{error}</span>
        </p>
      ) : null}
      <div className="halves">
        <div>
          <h4>Checked</h4>
          <ul className="checks">
            {checks.map(({ check, expected, found, ok }) => (
              <li key={check}>
                <Status of={ok === null ? 'unknown' : ok ? 'ok' : 'failed'} />{' '}
                <span>
                  {checkNames[check]}
                  {ok && !telling.has(check) ? null : (
                    <span className="below">
                      {ok ? found : `Expected: ${expected}. Found: ${found}`}
                    </span>
                  )}
                </span>
              </li>
            ))}
          </ul>
        </div>
        {tls ? (
          <div>
            <h4>Chain as it was sent</h4>
            <ol className="chain">
              {tls.chain.map(({ serial, subject, issuer, notAfter }) => (
                <li key={serial}>
                  {subject}
                  <span className="below">
                    signed by {issuer}, ends <Ends at={notAfter} brief />
                  </span>
                </li>
              ))}
            </ol>
            {tls.distrust ? <p className="wrong">{tls.distrust}</p> : null}
          </div>
        ) : null}
      </div>
    </>
  )
}

/** Checks of which is told what was found although it is as it should be. */
const telling: ReadonlySet<string> = new Set(['handshake', 'tls-version', 'plain-http'])

const checkNames: Readonly<Record<Schemas['ProbeCheckName'], string>> = {
  handshake: 'It speaks TLS',
  'issued-certificate': 'It serves the certificate that was issued',
  'trusted-chain': 'The chain leads to the root, and the name is in it',
  'no-client-certificate': 'Who shows no certificate is refused',
  'client-certificate': 'Who has a certificate is let in',
  'shown-certificate': 'The certificate that was shown is let in',
  'tls-version': 'The TLS versions are those that were asked for',
  'plain-http': 'Plain HTTP does what was asked for',
}

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Config } from './config.ts'
import { oncePer } from './onceper.ts'

/** What one process counts, and what it last read of the state of things. No label has a value that a tenant
 *  chose: labels are ours (routes, tasks) or an operator's (authorities, clusters, names of tenants). */
export const metersOf = oncePer((_: Config) => {
  const registry = new Registry()
  const registers = [registry]
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Gauge({ name: `gatesmith_${name}`, help, labelNames: [...labelNames], registers })
  return {
    registry,
    requests: new Histogram({
      name: 'gatesmith_http_request_duration_seconds',
      help: 'Requests answered, by the pattern of their route',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.005, 0.025, 0.1, 0.5, 2.5, 10],
      registers,
    }),
    issued: new Counter({
      name: 'gatesmith_certificates_issued_total',
      help: 'Certificates that this process signed and stored',
      labelNames: ['profile', 'cause'],
      registers,
    }),
    ordered: new Counter({
      name: 'gatesmith_ca_orders_ended_total',
      help: 'Orders at CAs elsewhere that this process saw end, issued or failed',
      labelNames: ['authority', 'outcome'],
      registers,
    }),
    refused: new Counter({
      name: 'gatesmith_requests_refused_total',
      help: 'Requests refused for who asked or how much (401, 403, 429), by the type of the problem',
      labelNames: ['reason'],
      registers,
    }),
    readable: gauge('readings_ok', 'Whether the state of things was read at the last try', []),
    pool: gauge('database_connections', 'Connections of the pool; waiting: who has none', [
      'state',
    ]),
    forwarded: gauge('audit_forward_lag_events', 'Events of the trail that a SIEM was not told', [
      'kind',
    ]),
    forwardedAge: gauge('audit_forward_lag_seconds', 'For how long the oldest of them is there', [
      'kind',
    ]),
    jobs: gauge('queue_jobs', 'Jobs that are due and not under way', ['task']),
    age: gauge('queue_oldest_seconds', 'For how long the oldest of them has been due', ['task']),
    astray: gauge('placements_astray', 'Placements that are not Synced', ['cluster', 'status']),
    targets: gauge('delivery_targets_astray', 'Secrets of deliveries that are not Synced', [
      'cluster',
      'status',
    ]),
    proved: gauge('delivery_last_success_timestamp_seconds', 'When a placement was last proved', [
      'cluster',
    ]),
    nearest: gauge(
      'certificate_nearest_end_timestamp_seconds',
      'When the next certificate ends that is neither revoked nor replaced, if within four days',
      ['renewal'],
    ),
    tenants: gauge(
      'tenant_certificate_nearest_end_timestamp_seconds',
      'The same for each of the hundred tenants whose certificates end first',
      ['tenant'],
    ),
    authority: gauge(
      'authority_end_timestamp_seconds',
      'When the certificate ends by which an authority issues',
      ['authority'],
    ),
    accounts: gauge('ca_account_ok', 'Whether the account with a CA elsewhere is as it should be', [
      'authority',
    ]),
    orders: gauge('ca_orders', 'Orders at CAs elsewhere that are under way', [
      'authority',
      'state',
    ]),
    published: gauge(
      'revocation_list_published_timestamp_seconds',
      'When the oldest list of an authority was published',
      ['authority'],
    ),
    lists: gauge(
      'revocation_list_end_timestamp_seconds',
      'When the first list of an authority ends',
      ['authority'],
    ),
  }
})

/** Measures the process itself too: memory, processor time, the delay of its event loop. */
export function measureProcess(config: Config): void {
  collectDefaultMetrics({ register: metersOf(config).registry })
}

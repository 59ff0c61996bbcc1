import { type Env, meaning, SettingError } from './environment.ts'
import { readSecretFile, secretOf } from './secrets.ts'

/** How mail is sent; never printed, since the URL may hold a password. */
export type Smtp = { readonly url: string; readonly from: string }

/** Where the audit trail is forwarded to. The secret is never printed. */
export type Siem = {
  readonly webhook?: { readonly url: string; readonly secret: string }
  /** `ca`: PEM, instead of the roots that Node knows. */
  readonly syslog?: { readonly url: string; readonly ca?: string }
}

/** That traces are sent, and of which requests and jobs. */
export type Traces = {
  readonly sampler: (typeof samplers)[number]
  /** Of the traces that begin here, for the samplers that take a part of them; 0 to 1. */
  readonly ratio: number
}

/** As OpenTelemetry names them (OTEL_TRACES_SAMPLER). */
const samplers = [
  ...(['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'] as const),
  ...(['always_on', 'always_off', 'traceidratio'] as const),
] as const

/** What is traced: nothing where the standard variables of OpenTelemetry name no endpoint, or say that nothing is to be sent. Throws SettingError. */
export function tracesOf(env: Env): Traces | undefined {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT
  const isOff = env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none'
  if (!endpoint || isOff) return undefined
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL
  if (protocol && protocol !== 'http/protobuf') {
    throw new SettingError(`OTEL_EXPORTER_OTLP_PROTOCOL: traces are sent by http/protobuf alone`)
  }
  const name = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on'
  const sampler = samplers.find((each) => each === name)
  const ratio = Number(env.OTEL_TRACES_SAMPLER_ARG || 1)
  if (sampler === undefined) {
    throw new SettingError(`OTEL_TRACES_SAMPLER must be one of ${samplers.join(', ')}`)
  }
  if (!(ratio >= 0 && ratio <= 1)) {
    throw new SettingError('OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1')
  }
  return { sampler, ratio }
}

/** How mail is sent, if it is. Throws SettingError. */
export function smtpOf(env: Env): Smtp | undefined {
  const { GATESMITH_SMTP_URL: url, GATESMITH_SMTP_FROM: from } = env
  if (url === undefined && from === undefined) return undefined
  if (url !== undefined && from !== undefined) return { url, from }
  throw new SettingError('Set both GATESMITH_SMTP_URL and GATESMITH_SMTP_FROM, or neither')
}

/** Where the audit trail is forwarded to. Throws SettingError. */
export function siemOf(env: Env): Siem {
  const {
    GATESMITH_SIEM_WEBHOOK_URL: url,
    GATESMITH_SIEM_SYSLOG_URL: syslog,
    GATESMITH_SIEM_SYSLOG_CA_FILE: caFile,
  } = env
  const secret = secretOf(env, 'GATESMITH_SIEM_WEBHOOK_SECRET')
  if ((url === undefined) !== (secret === undefined)) {
    throw new SettingError(
      'Set both GATESMITH_SIEM_WEBHOOK_URL and GATESMITH_SIEM_WEBHOOK_SECRET, or neither',
    )
  }
  if (secret !== undefined && !/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/.test(secret)) {
    throw new SettingError(
      `GATESMITH_SIEM_WEBHOOK_SECRET must be ${meaning('GATESMITH_SIEM_WEBHOOK_SECRET')}`,
    )
  }
  const ca =
    caFile === undefined ? {} : { ca: readSecretFile('GATESMITH_SIEM_SYSLOG_CA_FILE', caFile) }
  return {
    ...(url === undefined || secret === undefined ? {} : { webhook: { url, secret } }),
    ...(syslog === undefined ? {} : { syslog: { url: syslog, ...ca } }),
  }
}

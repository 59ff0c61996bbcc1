import { type Logger, pino } from 'pino'

/** The log of a process: one JSON object a line, on standard output. Headers are never logged, so no
 *  token can be; `redact` is the net below that. */
export function openLogger(level: string): Logger {
  return pino({
    level,
    redact: {
      paths: ['*.authorization', '*.password', '*.token', '*.kubeconfig', '*.privateKey'],
      censor: 'withheld',
    },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  })
}

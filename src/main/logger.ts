import { type DestinationStream, type Logger, pino } from 'pino'

/** The log of a process: one JSON object a line, on standard output unless told otherwise. Neither URLs nor headers nor
 *  bodies are logged, so no secret can be; below that are two nets: members of these names, and whatever
 *  looks like a secret of ours. */
export function openLogger(level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      redact: {
        paths: ['*.authorization', '*.password', '*.token', '*.kubeconfig', '*.privateKey'],
        censor: withheld,
      },
      serializers: { err: errorFacts },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      hooks: { streamWrite: (line) => line.replace(secrets, masked) },
    },
    ...(destination ? [destination] : []),
  )
}

const withheld = 'withheld'

/** Tokens, cookies, sign-in codes and signing secrets of ours, what stands in Authorization, JSON Web Tokens, passwords of URLs, and
 *  private keys in PEM, as they stand in JSON. */
const secrets =
  /(gsm[sc]?_|whsec_|Bearer |Basic )(?!-----)[\w.~+/=-]{8,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(:\/\/[^\s:/@"]*:)[^\s/@"]+(?=@)|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?="))/g

function masked(_: string, prefix = '', url = ''): string {
  return `${prefix}${url}${withheld}`
}

const longest = 4_000

/** What of an error is logged: what else it carries may be what it was thrown for, as the row that a statement
 *  was to store. */
function errorFacts(error: unknown, depth = 0): object | string {
  if (!(error instanceof Error)) return String(error).slice(0, longest)
  const { name, message, stack = '', cause } = error
  return {
    type: name,
    message: message.slice(0, longest),
    stack: stack.slice(0, longest),
    ...('code' in error ? { code: String(error.code) } : {}),
    ...(cause !== undefined && depth < 3 ? { cause: errorFacts(cause, depth + 1) } : {}),
    ...(error instanceof AggregateError && depth < 3
      ? { errors: error.errors.slice(0, 5).map((each) => errorFacts(each, depth + 1)) }
      : {}),
  }
}

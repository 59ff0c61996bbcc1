import type { Violation } from '../../shared/problem.ts'
import { type AskedRoute, type HeaderChanges, millisecondsOf } from '../route.ts'
import { re2Fault } from './re2.ts'

/** What belongs to one connection (RFC 9110 7.6.1) or frames the message: a gateway sets it itself. */
const ofConnections = [
  ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ['proxy-authenticate', 'proxy-authorization', 'content-length'],
].flat()

type StringMatch = {
  readonly exact?: string
  readonly prefix?: string
  readonly regex?: string
  readonly present?: boolean
}

/** What is wrong with matches of named values; `caseless`: names differ in more than their case. */
export function stringFaults(
  place: string,
  matches: readonly (StringMatch & { readonly name: string })[],
  { caseless }: { readonly caseless: boolean },
): readonly Violation[] {
  const names = matches.map(({ name }) => (caseless ? name.toLowerCase() : name))
  return matches.flatMap((match, index) => {
    const field = `${place}/${index}`
    const faults = [...stringFault(field, match)]
    if (names.indexOf(names[index] ?? '') < index) {
      faults.push({ field: `${field}/name`, message: `${match.name} is matched twice` })
    }
    if (caseless && names[index] === 'host') {
      const message = 'A host is reached by its own name: leave Host out'
      faults.push({ field: `${field}/name`, message })
    }
    return faults
  })
}

function stringFault(field: string, match: StringMatch): readonly Violation[] {
  const { exact, prefix, regex, present } = match
  const said = [exact, prefix, regex, present].filter((each) => each !== undefined)
  const message = 'Match by one of exact, prefix, regex and present: true'
  if (said.length !== 1 || present === false) return [{ field, message }]
  const fault = regex === undefined ? undefined : re2Fault(regex)
  return fault === undefined ? [] : [{ field: `${field}/regex`, message: `No regex: ${fault}` }]
}

/** What is wrong with how headers are changed on the way in and out. */
export function headerFaults({
  requestHeaders,
  responseHeaders,
}: AskedRoute): readonly Violation[] {
  return [
    ...changeFaults('/requestHeaders', requestHeaders),
    ...changeFaults('/responseHeaders', responseHeaders),
  ]
}

function changeFaults(place: string, changes: HeaderChanges | undefined): readonly Violation[] {
  if (!changes) return []
  const { set = [], add = [], remove = [] } = changes
  const all = [
    ...set.map(({ name }, index) => ({ name, field: `${place}/set/${index}/name` })),
    ...add.map(({ name }, index) => ({ name, field: `${place}/add/${index}/name` })),
    ...remove.map((name, index) => ({ name, field: `${place}/remove/${index}` })),
  ].map(({ name, field }) => ({ name: name.toLowerCase(), field }))
  const faults = all.flatMap(({ name, field }, index) => {
    if (name === 'host') {
      return [{ field, message: 'What a backend gets as Host is said by rewrite.host' }]
    }
    if (ofConnections.includes(name)) {
      return [{ field, message: `${name} is the gateway's own to set: leave it out` }]
    }
    const again = all.findIndex((each) => each.name === name) < index
    return again ? [{ field, message: `${name} is changed twice` }] : []
  })
  return all.length > 0
    ? faults
    : [{ field: place, message: 'Say which headers are set, added or removed' }]
}

/** What is wrong with who may read answers from pages of other origins (the Fetch standard). */
export function corsFaults({ cors, redirect }: AskedRoute): readonly Violation[] {
  if (!cors) return []
  const { allowOrigins, allowCredentials = false, maxAge } = cors
  const faults = allowOrigins.flatMap((origin, index) => {
    const field = `/cors/allowOrigins/${index}`
    const wrong = stringFault(field, origin)
    return wrong.length > 0 ? wrong : originFaults(field, origin, allowCredentials)
  })
  if (redirect) {
    const message = 'A redirect is no answer to read: leave cors out'
    faults.push({ field: '/cors', message })
  }
  if (maxAge?.endsWith('ms')) {
    faults.push({ field: '/cors/maxAge', message: 'Browsers count whole seconds, as in 600s' })
  } else if (maxAge !== undefined && millisecondsOf(maxAge) > day) {
    faults.push({ field: '/cors/maxAge', message: 'No browser remembers for more than 24h' })
  }
  return faults
}

const day = 86_400_000

/** With credentials, what a stranger's page could be is not let in: an origin that only begins as one's own
 *  does is anybody's (https://shop.example.com.evil.example). */
function originFaults(
  field: string,
  { exact, prefix, regex }: StringMatch,
  allowCredentials: boolean,
): readonly Violation[] {
  if (exact !== undefined && exact !== '*' && !/^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(exact)) {
    return [{ field, message: 'An origin is scheme://host or scheme://host:port, without a path' }]
  }
  if (!allowCredentials) return []
  const anybody =
    exact === '*' ||
    (prefix !== undefined && !/^[a-z][a-z0-9+.-]*:\/\/[^/?#\s:]+:$/.test(prefix)) ||
    (regex !== undefined && /\.[*+]\)?\$?$/.test(regex))
  const message =
    'With allowCredentials this lets in origins of anybody: name origins exactly, or by a prefix that ends in ":"'
  return anybody ? [{ field, message }] : []
}

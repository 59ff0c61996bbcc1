import { hostSpelling } from '../../shared/spelling.ts'
import { dnsNameFault } from '../../x509/names/altnames.ts'

/** A host name as it is stored, or a sentence about why the text is not one. */
export type ParsedHostname = { readonly name: string } | { readonly fault: string }

/** The one spelling of a host name: lower case, A-labels (RFC 5891 4), no trailing dot, two labels or
 *  more, `*.` only as the complete left-most label. Istio takes variants of case and trailing dot for
 *  different hosts, so nothing else may be stored. */
export function parseHostname(text: string): ParsedHostname {
  const name = hostSpelling(text)
  const rest = name.replace(/^\*\./, '')
  if (/^(.*\.)?\d+$/.test(rest)) {
    return { fault: `${rest} is an address; give a name such as www.example.com` }
  }
  if (!rest.includes('.')) {
    return { fault: `${JSON.stringify(text)} needs two labels or more, as www.example.com has` }
  }
  const fault = dnsNameFault(name)
  return fault === undefined ? { name } : { fault }
}

/** Whether a gateway that serves `pattern` answers for `name`: Istio matches a wildcard by suffix, so
 *  any number of labels may stand in its place. A wildcard routes the narrower ones, and itself. */
export function coversName(pattern: string, name: string): boolean {
  return name === pattern || (pattern.startsWith('*.') && name.endsWith(pattern.slice(1)))
}

/** Whether a certificate for `pattern` is one for `name`: a wildcard stands for one label (RFC 9525
 *  6.3). */
export function certifies(pattern: string, name: string): boolean {
  if (name === pattern) return true
  const [label = '', ...rest] = name.split('.')
  return label !== '' && label !== '*' && pattern === ['*', ...rest].join('.')
}

/** Every wildcard that routes `name`, closest first. */
export function wildcardsOver(name: string): readonly string[] {
  const labels = name.split('.')
  return labels.slice(1).map((_, index) => ['*', ...labels.slice(index + 1)].join('.'))
}

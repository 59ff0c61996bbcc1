/** Whether one of these names of a certificate is good for a host: itself, or a wildcard for its first label (RFC 6125
 *  6.4.3). */
export function covers(names: readonly string[], host: string): boolean {
  const wildcard = `*${host.slice(host.indexOf('.'))}`
  return names.some((name) => name === host || (name === wildcard && !host.startsWith('*.')))
}
